"""Diverse and uncertain at once: BADGE (Ash et al. 2020, arXiv:1906.03671)."""

from typing import ClassVar, Literal

import numpy as np

from active.strategies.strategy import Generator, Strategy
from active.view import Array, Places, Selection, View
from active.worth import Worth


class Badge(Strategy):
    """k-means++ over the gradients that the last layer would get if the model's guesses were right."""

    needs: ClassVar[Literal["features"]] = "features"

    def choose(self, view: View, count: int, rng: Generator) -> Selection:
        assert view.probs is not None and view.features is not None
        rows, gains = badge(view.probs[view.pool], view.features[view.pool], count, rng, Worth(view), view.pool)
        return Selection(rows, gains, "spread over the gradients of the last layer")


def badge(
    probs: Array, features: Array, count: int, rng: Generator, worth: Worth, pool: Places
) -> tuple[Places, Array]:
    """Picks (count,) of `pool` and the squared distance of each to those before.

    A gradient is a ⊗ h with a = p - onehot(guess), h the features. It is never built: <a⊗h, b⊗k> = <a, b><h, k>. The
    first pick has the largest gradient, the others are drawn in proportion to the squared distance to the nearest one.
    probs: (n, classes), features: (n, F), of the pool.
    """
    residual = np.asarray(probs, np.float32) - np.eye(probs.shape[1], dtype=np.float32)[probs.argmax(axis=1)]
    features = np.ascontiguousarray(features, np.float32)
    square = np.einsum("nc,nc->n", residual, residual) * np.einsum("nf,nf->n", features, features)
    distance, is_free = square.astype(np.float64), np.ones(len(pool), bool)
    rows, gains = list[int](), list[float]()
    for number in range(count):
        weight = np.where(is_free, distance * worth.of(pool), 0.0)
        best = int(weight.argmax()) if number == 0 and weight.any() else _drawn(weight, is_free, rng)
        is_free[best] = False
        rows.append(int(pool[best]))
        gains.append(float(distance[best]))
        worth.took(int(pool[best]))
        product = (residual @ residual[best]) * (features @ features[best])
        from_best = np.maximum(square + square[best] - 2 * product, 0)
        distance = np.minimum(distance, from_best) if number else from_best.astype(np.float64)
    return np.array(rows), np.array(gains)


def _drawn(weight: Array, is_free: Array, rng: Generator) -> int:
    """In proportion to the weight; where all are zero (equal gradients), each free one is as likely."""
    ends = np.cumsum(weight if weight.any() else is_free.astype(np.float64))
    return int(np.searchsorted(ends, rng.random() * ends[-1], side="right"))
