"""Typical images of clusters that have no label yet (Hacohen et al. 2022, arXiv:2202.02794)."""

import numpy as np

from active.strategies.clusters import k_means
from active.strategies.strategy import Generator, Strategy
from active.view import Array, Floats, Places, Selection, View
from active.worth import Worth

NEIGHBOURS = 20
BLOCK = 1 << 22  # similarities held at once


class TypiClust(Strategy):
    """The most typical image of each of the largest clusters with the fewest labels.

    most_clusters: more are not made. smallest: clusters of no more images are left out while there are others.
    """

    def __init__(self, most_clusters: int = 500, smallest: int = 5) -> None:
        if most_clusters < 1 or smallest < 0:
            raise ValueError(
                f"active.strategy.most_clusters={most_clusters}, smallest={smallest}: give at least 1 and 0"
            )
        self.most_clusters, self.smallest = most_clusters, smallest

    def choose(self, view: View, count: int, rng: Generator) -> Selection:
        clusters = min(len(view.labelled) + count, self.most_clusters)
        own = k_means(view.embedding, clusters, rng)
        rows, gains = typical(view, own, count, self.smallest, Worth(view))
        return Selection(rows, gains, f"the most typical of {own.max() + 1} clusters")


def typical(view: View, own: Places, count: int, smallest: int, worth: Worth) -> tuple[Places, Array]:
    """own: (N,) each image's cluster. Clusters take turns: fewest labels first, then the largest."""
    size = np.bincount(own)
    held = np.bincount(own[view.labelled], minlength=len(size))
    left = np.bincount(own[view.pool], minlength=len(size))
    is_free = np.zeros(len(view), bool)
    is_free[view.pool] = True
    scores: dict[int, tuple[Places, Array]] = {}
    rows, gains = list[int](), list[float]()
    while len(rows) < count:
        cluster = _next(size, held, left, smallest)
        if cluster not in scores:
            members = np.flatnonzero(own == cluster)
            scores[cluster] = members, typicality(view.embedding[members])
        members, score = scores[cluster]
        gain = np.where(is_free[members], score * worth.of(members), -np.inf)
        best = int(members[gain.argmax()])
        is_free[best] = False
        rows.append(best)
        gains.append(float(gain.max()))
        worth.took(best)
        held[cluster] += 1
        left[cluster] -= 1
    return np.array(rows), np.array(gains)


def _next(size: Places, held: Places, left: Places, smallest: int) -> int:
    """The cluster whose turn it is, of those that still have unlabelled images."""
    open_ones = np.flatnonzero(left > 0)
    large = open_ones[size[open_ones] > smallest]
    chosen = large if len(large) else open_ones
    return int(chosen[np.lexsort((-size[chosen], held[chosen]))[0]])


def typicality(members: Floats) -> Array:
    """1 / mean distance to the nearest neighbours within the cluster (n,). members: (n, D) rows of length 1."""
    count = len(members)
    neighbours = min(NEIGHBOURS, max(count // 2, 1), count - 1)
    if neighbours < 1:
        return np.ones(count)
    step = max(1, BLOCK // count)
    parts = [_mean_distance(members, start, step, neighbours) for start in range(0, count, step)]
    return 1 / (np.concatenate(parts) + 1e-5)


def _mean_distance(members: Floats, start: int, step: int, neighbours: int) -> Array:
    similar = members[start : start + step] @ members.T
    similar[np.arange(len(similar)), start + np.arange(len(similar))] = -np.inf
    nearest = -np.partition(-similar, neighbours - 1, axis=1)[:, :neighbours]
    mean: Array = np.sqrt(np.maximum(2 - 2 * nearest.astype(np.float64), 0)).mean(axis=1)
    return mean
