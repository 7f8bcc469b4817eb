"""The greedy choice that several strategies share: which centres cover the images best, found lazily (CELF)."""

from dataclasses import dataclass

import numpy as np

from active.strategies.kernels import Kernel
from active.view import Array, Floats, Places
from active.worth import Worth

AT_ONCE = 1 << 22  # kernel values held at a time: 16 MiB
MOST_KEPT = 1 << 27  # kernel values kept for all the search: 512 MiB
LAZY = 32  # candidates looked at again together
EPSILON = 1e-12


@dataclass(frozen=True, eq=False)
class Cover:
    """What is to be covered. reference: (R, D) embeddings. weight: (R,) how much each counts. held: (R,) 0 to 1, how
    far each is covered already. bonus: (candidates,) added to each one's gain, or None.
    """

    reference: Floats
    weight: Floats
    held: Floats
    kernel: Kernel
    bonus: Array | None = None


def herd(cover: Cover, candidates: Floats, rows: Places, count: int, worth: Worth) -> tuple[Places, Array]:
    """Picks (count,) of `rows` and their gains: (sum over the reference of weight * [kernel - held]+ + bonus) * worth.

    candidates: (n, D), of `rows` (n,). A gain only falls with more picks (the sum is submodular), so a candidate whose
    last known gain is below the best fresh one need not be looked at: CELF (Leskovec et al. 2007), exact.
    """
    bonus = np.zeros(len(rows)) if cover.bonus is None else cover.bonus
    held, places, gains = cover.held.copy(), list[int](), list[float]()
    near = likeness(cover, candidates)
    known = gains_of(cover, held, candidates, np.arange(len(rows)), near) + bonus
    is_fresh = np.ones(len(rows), bool)
    for _ in range(count):
        best, gain = _best(cover, held, candidates, rows, known, is_fresh, worth, bonus, near)
        places.append(best)
        gains.append(gain)
        worth.took(int(rows[best]))
        known[best] = -np.inf
        is_fresh[:] = False
        np.maximum(held, cover.kernel(cover.reference @ candidates[best]) if near is None else near[best], out=held)
    return rows[np.array(places)], np.array(gains)


def likeness(cover: Cover, candidates: Floats) -> Floats | None:
    """The kernel of every candidate to all of the reference (n, R), where it has room: most are asked for again."""
    if len(candidates) * len(cover.reference) > MOST_KEPT:
        return None
    near = np.empty((len(candidates), len(cover.reference)), np.float32)
    step = max(1, AT_ONCE // max(len(cover.reference), 1))
    for start in range(0, len(candidates), step):
        near[start : start + step] = cover.kernel(candidates[start : start + step] @ cover.reference.T)
    return near


def refined(
    cover: Cover, candidates: Floats, rows: Places, picks: Places, worth: Worth, rounds: int
) -> tuple[Places, Array]:
    """The picks, each in turn exchanged for the candidate that is best beside the others, until none changes.

    Greedy picks are at least 63 % of the best; the first batch, on which the first model is built, deserves more.
    Candidates: those of `rows`. Returns picks and the gain of each beside all others.
    """
    place = {int(row): number for number, row in enumerate(rows)}
    chosen, gains = [place[int(pick)] for pick in picks], np.zeros(len(picks))
    whole = likeness(cover, candidates)
    near = cover.kernel(candidates[chosen] @ cover.reference.T)
    for _ in range(rounds):
        before = list(chosen)
        for number in range(len(chosen)):
            others = np.delete(near, number, axis=0).max(axis=0, initial=0)
            held = np.maximum(cover.held, others)
            value = gains_of(cover, held, candidates, np.arange(len(rows)), whole) * worth.of(rows)
            value[[other for other in chosen if other != chosen[number]]] = -np.inf
            best = int(value.argmax())
            if value[best] > value[chosen[number]] + EPSILON:
                chosen[number] = best
                near[number] = cover.kernel(candidates[best] @ cover.reference.T)
            gains[number] = value[chosen[number]]
        if chosen == before:
            break
    return rows[np.array(chosen)], gains


def _best(
    cover: Cover, held: Floats, candidates: Floats, rows: Places, known: Array, is_fresh: Array,
    worth: Worth, bonus: Array, near: Floats | None,
) -> tuple[int, float]:  # fmt: skip
    while True:
        value = known * worth.of(rows)
        best = int(value.argmax())
        if is_fresh[best] or value[best] <= EPSILON:
            return best, float(value[best])
        first = _largest(value, LAZY)
        stale = first[~is_fresh[first]]
        known[stale] = np.minimum(known[stale], gains_of(cover, held, candidates, stale, near) + bonus[stale])
        is_fresh[stale] = True


def _largest(value: Array, count: int) -> Places:
    return np.argpartition(-value, count)[:count] if count < len(value) else np.arange(len(value))


def gains_of(cover: Cover, held: Floats, candidates: Floats, which: Places, near: Floats | None = None) -> Array:
    """(len(which),) float64. near: `likeness`, where it is kept."""
    step = max(1, AT_ONCE // max(len(cover.reference), 1))
    parts = []
    for start in range(0, len(which), step):
        part = which[start : start + step]
        more = cover.kernel(candidates[part] @ cover.reference.T) if near is None else near[part]
        more -= held
        np.maximum(more, 0, out=more)
        parts.append(more @ cover.weight)
    return np.concatenate(parts).astype(np.float64) if parts else np.zeros(0)


def held_by(centres: Floats, reference: Floats, kernel: Kernel) -> Floats:
    """(R,) how far each of the reference is covered by the nearest centre; 0 without centres."""
    held = np.zeros(len(reference), np.float32)
    if not len(centres):
        return held
    step = max(1, AT_ONCE // len(centres))
    for start in range(0, len(reference), step):
        held[start : start + step] = kernel(reference[start : start + step] @ centres.T).max(axis=1)
    return held


def some(count: int, most: int, rng: np.random.Generator) -> Places:
    """All places, or `most` of them drawn without replacement, ascending."""
    return np.arange(count) if count <= most else np.sort(rng.choice(count, most, replace=False))


def scattered(rows: Places, most: int, at_least: int, rng: np.random.Generator) -> Places:
    """`some` of these rows, but no fewer than are to be picked."""
    return rows[some(len(rows), max(most, at_least), rng)]
