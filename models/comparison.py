"""Two models on the same images: is one better, and could a difference have been found at this size?"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datamodule.inventory import Inventory
from models import merit
from models.evaluation import multilabel_columns, regression_columns
from models.inference import Predictions
from models.scores import PLAIN_NUMBERS, TITLES
from utils.statistics import Interval, Statistic, mcnemar, paired_bootstrap

Array = NDArray[Any]
Columns = Callable[[Array, Array], Mapping[str, Any]]

FOUND_FOUR_OF_FIVE = 2.8  # standard errors: the smallest difference that a test at 5 % finds with a chance of 80 %
LEADING = {"multilabel": ("map", "f1_macro", "exact_match"), "regression": ("mae", "rmse", "r2")}
PAIRED: dict[str, tuple[Columns, Statistic]] = {
    "multilabel": (multilabel_columns, merit.multilabel),
    "regression": (regression_columns, merit.regression),
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
    """The verdict in sentences. Raises ValueError for a task whose answers cannot be paired."""
    one, two = shared_places(first, second)
    if task == "classification":
        return _accuracy(first, second, _right(first)[one], _right(second)[two])
    if task not in PAIRED:
        raise ValueError(f"tester.compare knows classification, {' and '.join(PAIRED)}, not {task}")
    columns, statistic = PAIRED[task]
    pair = [columns(side.predictions.logits[places], side.predictions.target[places])
            for side, places in ((first, one), (second, two))]  # fmt: skip
    found = paired_bootstrap(pair[0], pair[1], statistic, np.random.default_rng(0))
    lines = [_figure(name, found[name][0]) for name in LEADING[task]]
    return [f"{first.name} against {second.name} on {len(one):,} images both", *lines]


def _right(side: Side) -> Array:
    right: Array = side.predictions.logits.argmax(1) == side.predictions.target
    return right


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


def _figure(name: str, interval: Interval | None) -> str:
    """Such as "MAE -0.12 (-0.2 – -0.04): a difference; 0.1 would be found four times out of five"."""
    if interval is None:
        return f"{TITLES[name]}: undefined here"
    scale, unit = (1.0, "") if name in PLAIN_NUMBERS else (100.0, " points")
    value, low, high = (scale * part for part in (interval.value, interval.low, interval.high))
    smallest = FOUND_FOUR_OF_FIVE * (high - low) / (2 * 1.96)
    said = "no difference was found" if low <= 0 <= high else "a difference"
    figure = f"{TITLES[name]} {value:+.3g}{unit} ({low:+.3g} – {high:+.3g})"
    return f"{figure}: {said}; {smallest:.2g}{unit} is found four times out of five"
