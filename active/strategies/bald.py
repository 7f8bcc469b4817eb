"""What dropout's draws disagree about (Houlsby et al. 2011, arXiv:1112.5745; Gal et al. 2017, arXiv:1703.02910)."""

from typing import ClassVar, Literal

import numpy as np

from active.strategies.entropy import entropy
from active.strategies.strategy import Generator, Strategy, by_score
from active.view import Array, Selection, View


class Bald(Strategy):
    """The images about which each draw of dropout is sure, and the draws disagree."""

    needs: ClassVar[Literal["draws"]] = "draws"

    def choose(self, view: View, count: int, rng: Generator) -> Selection:
        assert view.draws is not None
        return by_score(view, disagreement(view.draws), count, rng, f"what {len(view.draws)} draws of dropout dispute")


def disagreement(draws: Array) -> Array:
    """Mutual information of prediction and weights, in nats. draws: (T, N, classes). Returns (N,)."""
    return np.maximum(entropy(draws.mean(axis=0)) - entropy(draws).mean(axis=0), 0)
