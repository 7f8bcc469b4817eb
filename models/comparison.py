"""Two models on the same images: is one better, and could a difference have been found at this size?"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datamodule.heads import heads_in
from datamodule.inventory import Inventory
from models import merit
from models.direction import lower_is_better
from models.evaluation import multilabel_columns, regression_columns, segmentation_columns
from models.head_evaluation import all_right, of_head
from models.inference import Predictions
from models.scores import PLAIN_NUMBERS, TITLES
from utils.statistics import Interval, Statistic, mcnemar, paired_bootstrap

Array = NDArray[Any]
Columns = Callable[[Array, Array], Mapping[str, Any]]

FOUND_FOUR_OF_FIVE = 2.8  # standard errors: the smallest difference that a test at 5 % finds with a chance of 80 %
LEADING = {
    "multilabel": ("map", "f1_macro", "exact_match"),
    "regression": ("mae", "rmse", "r2"),
    "segmentation": ("mean_iou", "mean_dice", "pixel_accuracy"),
}
PAIRED: dict[str, tuple[Columns, Statistic]] = {
    "multilabel": (multilabel_columns, merit.multilabel),
    "regression": (regression_columns, merit.regression),
    "segmentation": (lambda confusion, _: segmentation_columns(confusion), merit.segmentation),
}


@dataclass(frozen=True)
class Side:
    """One model's answers on its view of the test images."""

    name: str
    predictions: Predictions
    inventory: Inventory


def shared_places(first: Side, second: Side) -> tuple[Array, Array]:
    """Where in both predictions the same images stand, matched by content, or by path where that has none.

    Raises ValueError where they share none.
    """
    own, other = _keys(first), _keys(second)
    places = {key: place for place, key in reversed(list(enumerate(other)))}
    pairs = [(place, places[key]) for place, key in enumerate(own) if key in places]
    if not pairs:
        raise ValueError(
            f"{first.name} and {second.name} have no test image in common: name one for both, tester.data=DIR"
        )
    one, two = np.array(pairs).T
    return one, two


def _keys(side: Side) -> list[str]:
    found = side.inventory
    return [str(found.sha256[row] or found.path[row]) for row in side.predictions.rows]


def compare(task: str, first: Side, second: Side) -> list[str]:
    """The verdict in sentences. first, second: of the same task and, but for a single class an image, classes."""
    one, two = shared_places(first, second)
    own, other = (side.predictions for side in (first, second))
    if task == "classification":
        return _accuracy(first, second, _right(own)[one], _right(other)[two])
    if task == "heads":
        return _heads(first, second, one, two)
    columns, statistic = PAIRED[task]
    pair = [columns(found.logits[places], found.target[places]) for found, places in ((own, one), (other, two))]
    found = paired_bootstrap(pair[0], pair[1], statistic, np.random.default_rng(0))
    lines = [_figure(name, found[name][0], first, second) for name in LEADING[task]]
    return [f"{first.name} less {second.name} on {len(one):,} images, bootstrap of the paired difference", *lines]


def _right(found: Predictions) -> Array:
    right: Array = found.logits.argmax(1) == found.target
    return right


def _heads(first: Side, second: Side, one: Array, two: Array) -> list[str]:
    """All heads together, then each for itself."""
    classes = first.inventory.classes
    said = [(side.predictions.logits[places], side.predictions.target[places])
            for side, places in ((first, one), (second, two))]  # fmt: skip
    lines = {"all heads": _accuracy(first, second, *(all_right(*part, classes) for part in said))}
    for place, head in enumerate(heads_in(classes)):
        right = (logits[:, head.columns].argmax(1) == of_head(target, head, place) for logits, target in said)
        lines[head.name] = _accuracy(first, second, *right)
    return [f"{name}: {line}" for name, told in lines.items() for line in told]


def _accuracy(first: Side, second: Side, own: Array, other: Array) -> list[str]:
    found = mcnemar(own, other)
    better = first if found.difference > 0 else second
    said = "no difference was found" if found.p > 0.05 else f"{better.name} is better"
    smallest = f"{100 * found.detectable:.1f}" if found.detectable < 1 else "no"
    return [
        f"{first.name} {own.mean():.4f} against {second.name} {other.mean():.4f} on {found.images:,} images: "
        f"{said} (exact McNemar, p = {found.p:.3g})",
        f"only the first is right {found.gained} times, only the second {found.lost} times",
        f"at this size a true difference of {100 * found.effect:.0f} point is found with a chance of "
        f"{100 * found.power:.0f} %, {smallest} points four times out of five",
    ]


def _figure(name: str, interval: Interval | None, first: Side, second: Side) -> str:
    """Such as "MAE -0.12 (-0.2 – -0.04): new is better; 0.1 is found four times out of five"."""
    if interval is None:
        return f"{TITLES[name]}: undefined here"
    scale, unit = (1.0, "") if name in PLAIN_NUMBERS else (100.0, " points")
    value, low, high = (scale * part for part in (interval.value, interval.low, interval.high))
    smallest = FOUND_FOUR_OF_FIVE * (high - low) / (2 * 1.96)
    better = first if (value > 0) != lower_is_better(name) else second
    said = "no difference was found" if low <= 0 <= high else f"{better.name} is better"
    figure = f"{TITLES[name]} {value:+.3g}{unit} ({low:+.3g} – {high:+.3g})"
    return f"{figure}: {said}; {smallest:.2g}{unit} is found four times out of five"
