"""The default: the strategy that suits the moment, and says which one ran and why."""

from dataclasses import replace

from active.strategies.herding import held_by
from active.strategies.kernels import Gaussian
from active.strategies.margin import Margin
from active.strategies.max_herding import MaxHerding, usual_width
from active.strategies.strategy import Generator, Strategy
from active.strategies.uherding import UHerding
from active.view import Selection, View
from active.worth import gumbel

LOOKED_AT = 4096


class Auto(Strategy):
    """MaxHerding without labels, UHerding with them, margin with Gumbel noise for large batches or a covered pool.

    large_batch: share of the pool from which a batch counts as large. covered: mean likeness of the images to their
    nearest labelled one from which covering has nothing left to give.
    """

    def __init__(self, large_batch: float = 0.05, covered: float = 0.95) -> None:
        if not 0 < large_batch <= 1 or not 0 < covered <= 1:
            raise ValueError(f"active.strategy.large_batch={large_batch}, covered={covered}: give shares up to 1")
        self.large_batch, self.covered = large_batch, covered

    def choose(self, view: View, count: int, rng: Generator) -> Selection:
        if view.probs is None or not len(view.labelled):
            return _told("MaxHerding", "no model yet", MaxHerding().choose(view, count, rng))
        share, coverage = count / len(view.pool), coverage_of(view)
        if share > self.large_batch:
            return _told("Margin with noise", f"the batch is {share:.1%} of the pool", noisy_margin(view, count, rng))
        if coverage > self.covered:
            return _told("Margin with noise", f"coverage is {coverage:.1%}", noisy_margin(view, count, rng))
        return _told("UHerding", f"coverage is {coverage:.1%}", UHerding().choose(view, count, rng))


def coverage_of(view: View) -> float:
    """Mean likeness of some images to their nearest labelled one, 0 to 1."""
    looked_at = view.embedding[:: max(1, len(view) // LOOKED_AT)]
    return float(held_by(view.embedding[view.labelled], looked_at, Gaussian(usual_width(view.embedding))).mean())


def noisy_margin(view: View, count: int, rng: Generator) -> Selection:
    """Margin among draws: near ties are drawn in proportion, which keeps large batches from being all alike."""
    noise = gumbel(len(view), 1.0, rng)
    worth = noise if view.worth is None else view.worth * noise
    return Margin().choose(replace(view, worth=worth), count, rng)


def _told(name: str, because: str, found: Selection) -> Selection:
    return Selection(found.rows, found.score, f"{name} ({because}): {found.why}")
