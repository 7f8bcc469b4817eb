"""The base of all query strategies, and the choice by score that several share."""

from typing import ClassVar, Literal

import numpy as np

from active.view import Array, Places, Selection, View
from active.worth import Worth

Generator = np.random.Generator


class Strategy:
    """Picks the images worth a label. What a strategy says is in `choose`; where it needs a model and there is none
    yet, images are drawn at random.

    The same images, labels and seed give the same picks, whatever order the images come in.
    """

    needs: ClassVar[Literal["probs", "features", "draws"] | None] = None

    def pick(self, view: View, count: int, rng: Generator) -> Selection:
        """`count` images of the pool. Raises ValueError where the pool holds fewer."""
        if not 1 <= count <= len(view.pool):
            raise ValueError(
                f"asked for {count} images but the pool holds {len(view.pool)}; lower active.batch or end the loop"
            )
        order = np.argsort(view.key, kind="stable")
        found = self._settled(view.take(order), count, rng)
        return Selection(order[found.rows], found.score, found.why)

    def _settled(self, view: View, count: int, rng: Generator) -> Selection:
        if self.needs is not None and (view.probs is None or getattr(view, self.needs) is None):
            return at_random(
                view, count, rng, f"drawn at random: {type(self).__name__} needs a model, and there is none"
            )
        return self.choose(view, count, rng)

    def choose(self, view: View, count: int, rng: Generator) -> Selection:
        """The picks of a view that is in the order of its keys."""
        raise NotImplementedError


def at_random(view: View, count: int, rng: Generator, why: str) -> Selection:
    """Every image of the pool is as likely as its worth."""
    return by_score(view, rng.random(len(view)), count, rng, why)


def by_score(view: View, score: Array, count: int, rng: Generator, why: str) -> Selection:
    """The images of the highest score times worth; equal ones in an order of the seed. score: (N,), not negative."""
    pool = view.pool[rng.permutation(len(view.pool))]
    worth = Worth(view)
    if worth.guess is None:
        gain = score[pool] * worth.of(pool)
        best = np.argsort(-gain, kind="stable")[:count]
        return Selection(pool[best], gain[best], why)
    return _one_by_one(score, pool, worth, count, why)


def _one_by_one(score: Array, pool: Places, worth: Worth, count: int, why: str) -> Selection:
    rows, gains, left = [], [], np.ones(len(pool), bool)
    for _ in range(count):
        gain = np.where(left, score[pool] * worth.of(pool), -np.inf)
        best = int(gain.argmax())
        left[best] = False
        rows.append(pool[best])
        gains.append(gain[best])
        worth.took(int(pool[best]))
    return Selection(np.array(rows), np.array(gains), why)
