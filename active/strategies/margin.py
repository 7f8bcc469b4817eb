"""Uncertainty by the two likeliest classes (Scheffer et al. 2001)."""

from typing import ClassVar, Literal

import numpy as np

from active.strategies.strategy import Generator, Strategy, by_score
from active.view import Array, Selection, View


class Margin(Strategy):
    """The images whose two likeliest classes are closest."""

    needs: ClassVar[Literal["probs"]] = "probs"

    def choose(self, view: View, count: int, rng: Generator) -> Selection:
        assert view.probs is not None
        return by_score(view, margin(view.probs), count, rng, "the closest to a tie of two classes")


def margin(probs: Array) -> Array:
    """How close the two likeliest classes are; 1 is a tie. probs: (N, classes). Returns (N,)."""
    if probs.shape[1] < 2:
        return np.zeros(len(probs))
    second, first = np.partition(probs, -2, axis=1)[:, -2:].T
    return 1 - (first - second)
