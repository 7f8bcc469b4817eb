"""The sections of a model's report, each made from arrays and evaluations by one small function."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.calibration import Reliability
from models.confusion import most_confused
from models.curves import curve_charts
from models.report_charts import MOST_CLASSES, confusion_charts, regression_charts, reliability_charts, share_chart
from models.scores import PLAIN_NUMBERS, TITLES, Evaluation, Score, missing_note, text, title
from utils.charts import shortened
from utils.report import Cell, Charts, Column, Facts, Gallery, Picture, Section, Stat, Stats, Table, Text
from utils.statistics import Interval
from utils.words import many

Array = NDArray[Any]


LESS_TELLING = ("precision_macro", "recall_macro")  # their trade-off is in the F1


@dataclass(frozen=True)
class Failure:
    """A wrongly classified image; `heat` is the same image with a Grad-CAM over it."""

    image: Array  # (height, width, channels) uint8
    file: str
    true: str
    predicted: str
    probability: float
    heat: Array | None = None


def headline(evaluation: Evaluation, split: str, facts: Mapping[str, str]) -> Section:
    """How good the model is, each figure with its range, and what was trained, how long, where."""
    scores = [score for score in evaluation.scores if score.name.rpartition("/")[2] not in LESS_TELLING]
    lead = _stat(scores[0], f"{title(scores[0].name)} on {many(evaluation.images, f'{split} image')}")
    blocks = (Stats((lead, *(_stat(score) for score in scores[1:]))), Facts("", facts, folded=False))
    return Section("", blocks, missing_note(evaluation))


def learning_curves(metrics_csv: Path) -> Section:
    """Each logged figure over the steps, training and validation together; one chart a figure."""
    charts = curve_charts(metrics_csv) if metrics_csv.exists() else []
    if not charts:
        return Section("Learning curves", (Text(f"{metrics_csv.name} holds no figures: nothing was logged."),))
    note = "Over training steps. Drag to zoom, double-click to go back."
    return Section("Learning curves", (Charts(tuple(charts)),), note)


def confusions(counts: Array, classes: Sequence[str], unit: str = "Images") -> Section:
    """Who is taken for whom, as shares and counts, and the pairs most often confused.

    counts: (classes, classes), true class by row. unit: what is counted.
    """
    matrices = confusion_charts(counts, classes)
    pairs = most_confused(counts, classes)
    columns = (Column("True"), Column("Taken for"), Column(unit, "count"), Column("Of the class", "share"))
    table = Table(columns, tuple((pair.true, pair.predicted, pair.count, pair.share) for pair in pairs))
    blocks = (Charts(tuple(matrices.values()), tuple(matrices)), table if pairs else Text("No image was confused."))
    note = "Green is right, red is wrong and has a scale of its own, so that rare mistakes show. Empty cells are zero."
    if len(classes) > MOST_CLASSES:
        note += f" Shown are the {MOST_CLASSES} of {len(classes)} classes with the most mistakes."
    return Section("Confusion", blocks, note)


def per_class(evaluation: Evaluation, by: str = "") -> Section:
    """Each class's figures, the weakest first. by: the figure with a range drawn; the most telling one if not given."""
    if not evaluation.classes:
        return Section("Classes", (Text("There is one target: its figures are those above."),))
    names = list(evaluation.classes[0].scores)
    by = by or next(name for name in ("f1", "iou", "r2", names[0]) if name in names)
    kinds = {name: Column(TITLES[name], "number" if name in PLAIN_NUMBERS else "share") for name in names}
    order = [by, *(name for name in names if name != by)]
    bottom = _bottom([one.scores[by] for one in evaluation.classes])
    columns = (
        Column("Target" if evaluation.task == "regression" else "Class"),
        Column("Support", "count"),
        replace(kinds[by], ends=(bottom, 1.0)),
        *(kinds[name] for name in order[1:]),
    )
    ranked = sorted(evaluation.classes, key=lambda one: _weakness(one.scores[by]))
    rows = tuple(
        (one.name, one.support, *(_cell(name, one.scores[name], name == by) for name in order)) for one in ranked
    )
    note = f"Weakest {TITLES[by]} first; a heading sorts."
    if by not in PLAIN_NUMBERS:
        note += f" Bars are 95\u00a0% ranges and run from {100 * bottom:.0f} to 100\u00a0%."
    note = f"{note} {missing_note(evaluation)}"
    return Section("Targets" if evaluation.task == "regression" else "Classes", (Table(columns, rows),), note)


def calibration(
    raw: Reliability, scaled: Reliability | None = None, temperature: float | None = None, unit: str = "images"
) -> Section:
    """Whether a probability of 0.9 is right nine times in ten, before and after temperature scaling."""
    note = f"Below the dotted line the model is too sure of itself, above it not sure enough; large dots: many {unit}."
    note += f" ECE, the expected calibration error, is the mean distance of {unit} from the line."
    if temperature is not None:
        note += f" Fitted on the validation split: temperature {temperature:.3g}."
    return Section("Calibration", (Charts(reliability_charts(raw, scaled, unit)),), note)


def failures(found: Sequence[Failure]) -> Section:
    """The images most confidently wrong."""
    if not found:
        return Section("Failures", (Text("Every image was classified rightly."),))
    pictures = [
        Picture(
            one.image,
            title=f"{shortened(one.true)} → {shortened(one.predicted)}",
            note=f"{_sure(one.probability)} · {PurePath(one.file).name}",
            hint=f"{one.file}: {one.true} → {one.predicted}",
            share=one.probability,
            beside=one.heat,
        )
        for one in found
    ]
    note = "True → predicted class, the most confidently wrong first. A wrong label looks like this, too."
    if any(one.heat is not None for one in found):
        note += " Beside it, what spoke for the predicted class (Grad-CAM)."
    return Section("Failures", (Gallery(tuple(pictures)),), note)


def class_distribution(counts: Mapping[str, Array], classes: Sequence[str], unit: str = "images") -> Section:
    """Each split's share of every class. counts: split → (classes,), in `unit`s."""
    chart = share_chart(
        "class_distribution",
        "Classes in each split",
        {name: (values, name) for name, values in counts.items()},
        classes,
    )
    sizes = ", ".join(f"{int(values.sum()):,} {name}" for name, values in counts.items())
    empty = [f"{classes[k]} in {name}" for name, values in counts.items() for k in np.flatnonzero(values == 0)[:5]]
    note = f"Share of each class in every split: {sizes} {unit}."
    return Section("Data", (Charts((chart,)),), note + (f" Missing: {', '.join(empty)}." if empty else ""))


def weighted_sampling(natural: Array, drawn: Array, classes: Sequence[str]) -> Section:
    """What weighted sampling does to the share of each class. natural, drawn: (classes,) images or draws."""
    chart = share_chart(
        "weighted_sampling",
        "Classes without and with weighted sampling",
        {"as they are": (natural, "train"), "as drawn": (drawn, "accent")},
        classes,
    )
    note = f"Share of each class among the training images, and among {int(drawn.sum()):,} draws of weighted sampling."
    return Section("Weighted sampling", (Charts((chart,)),), note)


def inputs(images: Sequence[Array], names: Sequence[str]) -> Section:
    """Training images as the network sees them: augmented, normalised and brought back to colours."""
    pictures = tuple(Picture(image, name) for image, name in zip(images, names, strict=True))
    return Section("Inputs", (Gallery(pictures),), "A training batch as the network sees it, augmented.")


def regression(predicted: Array, target: Array, names: Sequence[str]) -> Section:
    """Prediction against truth, one chart a target. predicted, target: (images, targets)."""
    return Section(
        "Predictions",
        (Charts(regression_charts(predicted, target, names)),),
        "On the dotted line a prediction is exact.",
    )


def configuration(config: Mapping[str, Any], environment: Mapping[str, Any]) -> Section:
    """Everything that was set and the machine it ran on, to be opened by group."""
    groups = {name: value for name, value in config.items() if isinstance(value, Mapping)}
    single = {name: value for name, value in config.items() if name not in groups}
    parts = {"general": single, **groups, "environment": environment}
    facts = tuple(Facts(name, dict(_flat(values))) for name, values in parts.items() if values)
    note = "The same as in full_configurations.yaml, the one file that repeats this run."
    return Section("Configuration", facts, note)


def _stat(score: Score, title: str = "") -> Stat:
    value, ends = text(score.name, score.interval)
    if not title:
        return Stat(score.title, value, ends)
    found = score.interval
    drawn = None if score.name in PLAIN_NUMBERS else (found.value, found.low, found.high)
    return Stat(title, value, f"{ends} with 95 % confidence", drawn)


def _bottom(intervals: Sequence[Interval | None]) -> float:
    """A round number below all ranges, for bars to begin at."""
    return math.floor(10 * min((interval.low for interval in intervals if interval is not None), default=0.0)) / 10


def _sure(probability: float) -> str:
    return ">\u00a099.9\u00a0%" if probability > 0.999 else f"{100 * probability:.1f}\u00a0%"


def _weakness(interval: Interval | None) -> float:
    return math.inf if interval is None else interval.value


def _cell(name: str, interval: Interval | None, with_range: bool) -> Cell:
    if interval is None:
        return None
    return (interval.value, interval.low, interval.high) if with_range and name not in PLAIN_NUMBERS else interval.value


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    flat = []
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            flat += _flat(value, f"{prefix}{name}.")
        else:
            flat.append((f"{prefix}{name}", "null" if value is None else str(value)))
    return flat
