"""k-means in few lines, the same on every run: it needs no more than its own generator."""

import numpy as np

from active.view import Array, Floats, Places

ROUNDS = 15
FITTED = 50_000  # images that the centres are fitted on
BLOCK = 1 << 14


def k_means(embedding: Floats, clusters: int, rng: np.random.Generator) -> Places:
    """The cluster of each row (N,); fewer than `clusters` where there are fewer different rows.

    k-means++ start, Lloyd's rounds, on at most 50,000 rows; the others join the nearest centre.
    """
    some = (
        embedding if len(embedding) <= FITTED else embedding[np.sort(rng.choice(len(embedding), FITTED, replace=False))]
    )
    centres = _start(some, min(clusters, len(some)), rng)
    before = np.full(len(some), -1)
    for _ in range(ROUNDS):
        own = _nearest(some, centres)
        if (own == before).all():
            break
        before = own
        centres = _means(some, own, centres)
    return _nearest(embedding, centres)


def _start(embedding: Floats, clusters: int, rng: np.random.Generator) -> Floats:
    chosen = [int(rng.integers(len(embedding)))]
    distance = _from(embedding, chosen[0])
    for _ in range(clusters - 1):
        ends = np.cumsum(distance)
        if ends[-1] <= 1e-9:
            break
        chosen.append(min(int(np.searchsorted(ends, rng.random() * ends[-1], side="right")), len(embedding) - 1))
        distance = np.minimum(distance, _from(embedding, chosen[-1]))
    return embedding[chosen]


def _from(embedding: Floats, row: int) -> Array:
    """Squared distances of rows of length 1 to one of them (N,), zero for equal ones."""
    distance = np.maximum(2 - 2 * (embedding @ embedding[row]).astype(np.float64), 0)
    return np.where(distance < 1e-6, 0.0, distance)


def _nearest(embedding: Floats, centres: Floats) -> Places:
    half = np.einsum("kd,kd->k", centres, centres) / 2
    parts = [(embedding[at : at + BLOCK] @ centres.T - half).argmax(1) for at in range(0, len(embedding), BLOCK)]
    return np.concatenate(parts)


def _means(embedding: Floats, own: Places, centres: Floats) -> Floats:
    """A cluster that lost all its rows keeps its centre."""
    order = np.argsort(own, kind="stable")
    starts = np.searchsorted(own[order], np.arange(len(centres)))
    counts = np.diff(np.append(starts, len(own)))
    filled = counts > 0
    sums = np.add.reduceat(embedding[order], starts[filled], axis=0)
    means = centres.copy()
    means[filled] = sums / counts[filled, None]
    return means
