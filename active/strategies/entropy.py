"""Uncertainty over all classes (Shannon 1948)."""

from typing import ClassVar, Literal

from scipy.special import entr

from active.strategies.strategy import Generator, Strategy, by_score
from active.view import Array, Selection, View


class Entropy(Strategy):
    """The images whose probabilities are spread the most."""

    needs: ClassVar[Literal["probs"]] = "probs"

    def choose(self, view: View, count: int, rng: Generator) -> Selection:
        assert view.probs is not None
        return by_score(view, entropy(view.probs), count, rng, "of the largest entropy")


def entropy(probs: Array) -> Array:
    """In nats. probs: (…, classes). Returns (…,)."""
    spread: Array = entr(probs).sum(axis=-1)
    return spread
