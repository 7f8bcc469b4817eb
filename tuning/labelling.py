"""Which points of a cloud can carry their name without one covering another."""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

Side = Literal["top left", "bottom right", "top right", "bottom left"]
SIDES: tuple[Side, ...] = ("top left", "bottom right", "top right", "bottom left")
LETTER, LINE = 0.011, 0.055  # of the chart's width and height
GAP, POINT = 0.008, 0.006


class Box(NamedTuple):
    left: float
    bottom: float
    right: float
    top: float


def placed(names: Sequence[str], x: Sequence[float], y: Sequence[float], log_x: bool = True) -> list[Side | None]:
    """The side on which each name stands, None where there is no room; those of the highest points go first."""
    across, up = _shares([math.log(value) for value in x] if log_x else x), _shares(y)
    taken = [Box(a - POINT, b - POINT, a + POINT, b + POINT) for a, b in zip(across, up, strict=True)]
    sides: list[Side | None] = [None] * len(names)
    for place in sorted(range(len(names)), key=lambda one: -up[one]):
        for side in SIDES:
            box = _box(side, across[place], up[place], LETTER * len(names[place]))
            if box.left >= 0 and box.right <= 1 and not any(_meet(box, other) for other in taken):
                sides[place] = side
                taken.append(box)
                break
    return sides


def _shares(values: Sequence[float]) -> list[float]:
    low, high = min(values, default=0.0), max(values, default=1.0)
    return [(value - low) / ((high - low) or 1.0) for value in values]


def _box(side: Side, x: float, y: float, wide: float) -> Box:
    left = x - GAP - wide if side.endswith("left") else x + GAP
    bottom = y + GAP if side.startswith("top") else y - GAP - LINE
    return Box(left, bottom, left + wide, bottom + LINE)


def _meet(one: Box, other: Box) -> bool:
    return one.left < other.right and other.left < one.right and one.bottom < other.top and other.bottom < one.top
