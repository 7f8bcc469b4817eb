"""Core-set by k-centre greedy (Sener & Savarese 2018, arXiv:1708.00489), exact, in blocks."""

from collections.abc import Sequence

import numpy as np

from active.strategies.strategy import Generator, Strategy
from active.view import Array, Floats, Places, Selection, View
from active.worth import Worth

BLOCK = 1 << 14  # rows whose similarities are computed at once
# Of the farthest images, among which the greedy search goes on between two passes over all: few enough for the
# processor's cache, more where a pass is dear.
INSIDE, SHARE_INSIDE = 1024, 128


class CoreSet(Strategy):
    """Each pick is the image farthest from all labelled and picked ones; the very first is the most central."""

    def choose(self, view: View, count: int, rng: Generator) -> Selection:
        rows, gains = k_centre(view.embedding, view.labelled, view.pool, count, Worth(view))
        return Selection(rows, gains, "the farthest from all that is labelled")


def k_centre(
    embedding: Floats, centres: Places, pool: Places, count: int, worth: Worth, inside: int | None = None
) -> tuple[Places, Array]:
    """Greedy picks (count,) and their gains: (1 - cosine to the nearest centre) * worth.

    embedding: (N, D), rows of length 1. The picks are those of the plain search, which would pass over all rows for
    each: a gain only falls while centres are added, so among the images with the largest known ones the search may go
    on until the best is no better than the best outside.
    """
    inside = inside or max(INSIDE, len(embedding) // SHARE_INSIDE)
    similar = np.full(len(embedding), -1.0, np.float32)  # to the nearest centre
    rows: list[int] = []
    gains: list[float] = []
    is_free = np.zeros(len(embedding), bool)
    is_free[pool] = True
    fresh: Sequence[int] | Places = centres if len(centres) else [_most_central(embedding, pool)]
    if not len(centres):
        _take(int(fresh[0]), float(worth.of(pool[:1])[0]), rows, gains, is_free, worth)
    while len(rows) < count:
        _come_closer(similar, embedding, embedding[np.asarray(fresh)])
        gain = np.where(is_free, (1 - similar) * worth.of(slice(None)), -np.inf)
        near, bound = _largest(gain, inside)
        fresh = _search(near, bound, embedding, similar, count, rows, gains, is_free, worth)
    return np.array(rows), np.array(gains)


def _search(
    near: Places, bound: float, embedding: Floats, similar: Floats, count: int,
    rows: list[int], gains: list[float], is_free: Array, worth: Worth,
) -> list[int]:  # fmt: skip
    """The picks that are sure without looking at others than `near`; at least one."""
    part, closest, found = embedding[near], similar[near], list[int]()
    free = is_free[near]
    while len(rows) < count:
        gain = np.where(free, (1 - closest) * worth.of(near), -np.inf)
        best = int(gain.argmax())
        if found and gain[best] <= bound:
            break
        free[best] = False
        _take(int(near[best]), float(gain[best]), rows, gains, is_free, worth)
        found.append(int(near[best]))
        np.maximum(closest, part @ part[best], out=closest)
    return found


def _take(row: int, gain: float, rows: list[int], gains: list[float], is_free: Array, worth: Worth) -> None:
    rows.append(row)
    gains.append(gain)
    is_free[row] = False
    worth.took(row)


def _largest(gain: Array, count: int) -> tuple[Places, float]:
    """The places of the largest gains, ascending, and the largest of all others."""
    if count >= len(gain):
        return np.arange(len(gain)), -np.inf
    order = np.argpartition(-gain, count)
    return np.sort(order[:count]), float(gain[order[count]])


def _come_closer(similar: Floats, embedding: Floats, centres: Floats) -> None:
    for start in range(0, len(embedding), BLOCK):
        part = slice(start, start + BLOCK)
        for first in range(0, len(centres), 1024):
            np.maximum(similar[part], (embedding[part] @ centres[first : first + 1024].T).max(1), out=similar[part])


def _most_central(embedding: Floats, pool: Places) -> int:
    mean = embedding[pool].mean(axis=0) if len(pool) < len(embedding) else embedding.mean(axis=0)
    return int(pool[(embedding @ mean)[pool].argmax()])
