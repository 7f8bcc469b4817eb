"""Uncertainty by the likeliest class alone (Lewis & Gale 1994)."""

from typing import ClassVar, Literal

from active.strategies.strategy import Generator, Strategy, by_score
from active.view import Array, Selection, View


class LeastConfidence(Strategy):
    """The images of whose likeliest class the model is least sure."""

    needs: ClassVar[Literal["probs"]] = "probs"

    def choose(self, view: View, count: int, rng: Generator) -> Selection:
        assert view.probs is not None
        return by_score(view, least_confidence(view.probs), count, rng, "the least sure of their likeliest class")


def least_confidence(probs: Array) -> Array:
    """1 less the largest probability. probs: (N, classes). Returns (N,)."""
    return 1 - probs.max(axis=1)
