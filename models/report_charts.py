"""The charts of a model's report, made from arrays; a page shows them, a tracker takes them as pictures."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.calibration import Reliability
from models.confusion import hardest, normalised
from utils.charts import Axis, Chart, Matrix, Series

Array = NDArray[Any]

MANY_CLASSES = 40  # from here on the hardest classes are shown on their own first
HARDEST = 20
MOST_CLASSES = 250  # in one matrix: beyond that the cells are smaller than a pixel


def confusion_charts(counts: Array, classes: Sequence[str]) -> dict[str, Matrix]:
    """What can be looked at, by the words of its button; with many classes the hardest come first."""
    shares = normalised(counts)
    if len(classes) <= MANY_CLASSES:
        return {"Shares": _matrix("share", shares, classes), "Counts": _matrix("counts", counts, classes)}
    wrong = np.count_nonzero(counts.sum(axis=0) + counts.sum(axis=1) - 2 * np.diag(counts))
    worst = hardest(counts, int(np.clip(wrong, 2, HARDEST)))
    kept = hardest(counts, MOST_CLASSES)
    return {
        f"{len(worst)} hardest classes": _matrix("hardest", counts, classes, worst),
        "Shares": _matrix("share", shares, classes, kept),
        "Counts": _matrix("counts", counts, classes, kept),
    }


def reliability_charts(
    raw: Reliability, scaled: Reliability | None = None, unit: str = "images"
) -> tuple[Chart, Chart]:
    """Accuracy against confidence, and how the confidence is spread."""
    curves = [Series("perfect", [0.0, 1.0], [0.0, 1.0], "soft", dashed=True), _reliability(raw, "as trained", "train")]
    bars = [Series("as trained", _centres(raw), raw.count / raw.count.sum(), "train", "bar")]
    if scaled is not None:
        curves.append(_reliability(scaled, "temperature-scaled", "accent"))
        bars.append(Series("temperature-scaled", _centres(scaled), scaled.count / scaled.count.sum(), "accent", "bar"))
    share, confidence = Axis("right", percent=True, range=(0, 1.02)), Axis("probability", percent=True, range=(0, 1.02))
    diagram = Chart("reliability", "Right as often as sure?", tuple(curves), confidence, share, square=True)
    spread = Chart("confidence", "How sure", tuple(bars), confidence, Axis(unit, percent=True), square=True)
    return diagram, spread


def share_chart(name: str, title: str, counts: Mapping[str, tuple[Array, str]], classes: Sequence[str]) -> Chart:
    """counts: what → its images a class and its colour. Many classes are ordered by the first one's counts."""
    first = next(iter(counts.values()))[0]
    many = len(classes) > MANY_CLASSES
    order = np.argsort(-first, kind="stable") if many else np.arange(len(classes))
    names = tuple(classes[int(number)] for number in order)
    series = tuple(
        Series(what, names, values[order] / max(values.sum(), 1), color, "step" if many else "bar")
        for what, (values, color) in counts.items()
    )
    axis = Axis("classes, the most frequent first" if many else "", categories=names, unnamed=many)
    top = max(float(np.max(one.y)) for one in series) or 1.0
    return Chart(name, title, series, axis, Axis("share", percent=True, range=(0, 1.06 * top)))


def regression_charts(predicted: Array, target: Array, names: Sequence[str]) -> tuple[Chart, ...]:
    """Prediction against truth, one chart a target. predicted, target: (images, targets)."""
    charts = []
    for number, name in enumerate(names):
        true, guess = target[:, number], predicted[:, number]
        ends = [float(min(true.min(), guess.min())), float(max(true.max(), guess.max()))]
        series = (Series("perfect", ends, ends, "soft", dashed=True), Series("images", true, guess, kind="points"))
        charts.append(Chart(f"regression_{number}", name, series, Axis("true"), Axis("predicted"), square=True))
    return tuple(charts)


def _matrix(what: str, values: Array, classes: Sequence[str], kept: Array | None = None) -> Matrix:
    kept = np.arange(len(classes)) if kept is None else kept
    part = "" if len(kept) == len(classes) else f", the {len(kept)} hardest of {len(classes)} classes"
    title = f"{'Shares' if what == 'share' else 'Counts'} of predictions{part}"
    names = tuple(classes[int(number)] for number in kept)
    return Matrix(f"confusion_{what}", title, values[np.ix_(kept, kept)], names, percent=what == "share")


def _reliability(found: Reliability, name: str, color: str) -> Series:
    filled = found.count > 0
    name = f"{name}, ECE {100 * found.ece:.1f} %"
    size = np.sqrt(found.count[filled] / found.count.max())
    return Series(name, found.confidence[filled], found.accuracy[filled], color, "points", size=size)


def _centres(found: Reliability) -> Array:
    return (np.arange(len(found.count)) + 0.5) / len(found.count)
