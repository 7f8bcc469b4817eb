"""When a trial is not worth going on with: the same rules for every backend, told by the trials' costs alone."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from tuning.settings import TuneSettings


class Stopping(Protocol):
    """Hears each cost (less is better) of each trial, epoch by epoch, and says whether that trial should stop."""

    def hear(self, number: int, epoch: int, cost: float) -> bool: ...


class Never:
    """Every trial runs to its end."""

    def hear(self, number: int, epoch: int, cost: float) -> bool:
        return False


@dataclass
class Asha:
    """Asynchronous successive halving (Li et al. 2020, arXiv:1810.05934).

    At the epochs grace, grace · reduction, … a trial goes on if it is among the best one in `reduction` of those that
    came there before it or stand there now. A cost is the trial's best so far.
    """

    grace: int
    most: int
    reduction: int
    reached: dict[int, dict[int, float]] = field(default_factory=dict)  # rung → trial → cost
    best: dict[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rung = self.grace
        while rung < self.most:
            self.reached[rung] = {}
            rung *= self.reduction

    def hear(self, number: int, epoch: int, cost: float) -> bool:
        if math.isnan(cost):
            return True
        self.best[number] = min(cost, self.best.get(number, math.inf))
        passed = [rung for rung in self.reached if rung <= epoch]
        new = [rung for rung in passed if number not in self.reached[rung]]
        for rung in new:
            self.reached[rung][number] = self.best[number]
        return bool(new) and not self._is_among_the_best(number, max(new))

    def _is_among_the_best(self, number: int, rung: int) -> bool:
        costs = sorted(self.reached[rung].values())
        places = max(1, len(costs) // self.reduction)
        return self.reached[rung][number] <= costs[places - 1]


@dataclass
class Hyperband:
    """Several ASHA brackets, which begin to stop at different epochs (Li et al. 2018, arXiv:1603.06560).

    A bracket gets as many trials as successive halving would start in it.
    """

    grace: int
    most: int
    reduction: int

    def __post_init__(self) -> None:
        count = 1 + int(math.log(max(1.0, self.most / self.grace), self.reduction) + 1e-9)
        self.brackets = [Asha(self.grace * self.reduction**place, self.most, self.reduction) for place in range(count)]
        self.shares = np.array(
            [self.reduction ** (count - 1 - place) * count / (count - place) for place in range(count)]
        )
        self.sizes = np.zeros(count)
        self.place: dict[int, int] = {}

    def hear(self, number: int, epoch: int, cost: float) -> bool:
        if number not in self.place:
            self.place[number] = int(np.argmin((self.sizes + 1) / self.shares))
            self.sizes[self.place[number]] += 1
        return self.brackets[self.place[number]].hear(number, epoch, cost)


@dataclass
class Median:
    """Stops a trial whose best is worse than the median of the others' running means (Vizier, Golovin et al. 2017)."""

    grace: int
    least: int = 3  # others that must have come as far
    costs: dict[int, dict[int, float]] = field(default_factory=lambda: defaultdict(dict))

    def hear(self, number: int, epoch: int, cost: float) -> bool:
        if math.isnan(cost):
            return True
        self.costs[number][epoch] = cost
        others = [
            float(np.mean([value for at, value in seen.items() if at <= epoch]))
            for other, seen in self.costs.items()
            if other != number and max(seen) >= epoch
        ]
        if epoch < self.grace or len(others) < self.least:
            return False
        return min(self.costs[number].values()) > float(np.median(others))


def stopping(settings: TuneSettings, epochs: int) -> Stopping:
    """What the settings name. epochs: of a trial at most.

    None is stopped by several objectives, of which none decides alone, nor by one that is known at the end only. In a
    population the worst go on as copies of the best (tuning/ray_population.py).
    """
    if settings.judged_late or settings.scheduler in ("none", "pbt"):
        return Never()
    if settings.scheduler == "median":
        return Median(settings.grace_epochs)
    kind = Asha if settings.scheduler == "asha" else Hyperband
    return kind(settings.grace_epochs, epochs, settings.reduction)


def retold(rule: Stopping, curves: Sequence[tuple[int, Sequence[tuple[int, float]]]]) -> Stopping:
    """The rule after it has heard former trials: number → (epoch, cost)."""
    for number, curve in curves:
        for epoch, cost in curve:
            rule.hear(number, epoch, cost)
    return rule
