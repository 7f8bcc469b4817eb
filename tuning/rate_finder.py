"""optimizers.lr=auto: a rate from a range test, then the best of its neighbours by short trainings.

The range test raises the rate step by step from far too low to far too high (Smith 2015, arXiv:1506.01186). The middle
of the smoothed loss's longest valley, fastai's `valley`, depends on how fast the test goes: on four small networks the
best rate lay 3 to 370 times above it, but between 1/16 and twice of where the loss was lowest. So short trainings under
complete schedules compare the rates around that one, a factor of two apart; a parabola then tells where between them it
lies.
"""

import logging
import math
import time
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from tuning.arms import Arm, given_range
from tuning.auto_optimizer import Found, TooShort, Trainings, search
from tuning.auto_settings import AutoSettings, SearchSettings
from tuning.candidates import span
from tuning.course import Course, MakeOptimizer
from utils.build import build

log = logging.getLogger(__name__)
LOWEST, HIGHEST = 1e-6, 10.0
STEPS = 100
SMOOTHING = 0.9
BLOWN_UP = 4.0  # times the lowest loss
NEIGHBOURS = tuple(2.0**power for power in range(-5, 2))  # times the rate of the lowest loss
STEP = math.log(2.0)  # between neighbours


@dataclass(frozen=True)
class RangeTest:
    """Smoothed training losses (steps,) at rising rates (steps,)."""

    rates: tuple[float, ...]
    losses: tuple[float, ...]

    @property
    def valley(self) -> float:
        """The rate in the middle of the longest falling stretch of the losses, of those that need not be neighbours."""
        fall = longest_fall(self.losses)
        return self.rates[(fall[0] + fall[-1]) // 2]

    @property
    def lowest(self) -> float:
        """The rate at which the loss was lowest, a little late as it is smoothed."""
        return self.rates[self.losses.index(min(self.losses))]


def range_test(
    course: Course, make_optimizer: MakeOptimizer, steps: int = STEPS, deadline: float = math.inf
) -> RangeTest:
    """Trains while the rate rises evenly in its logarithm, until the loss has blown up. The network is given back.

    Raises TooShort where that takes longer than until the deadline, of time.monotonic(), or that of the course.
    """
    deadline = min(deadline, course.deadline)
    course.task.to(course.device).train()
    course.task.net.load_state_dict(course.initial)
    optimizer = make_optimizer(course.task.net)
    scale = [float(group["lr"]) for group in optimizer.param_groups]
    scaler = torch.amp.GradScaler(course.device.type, enabled=course.speed.precision == "16-mixed")
    batches, rates, losses, total = course.batches(), list[float](), list[float](), 0.0
    for step in range(steps):
        rate = LOWEST * (HIGHEST / LOWEST) ** (step / (steps - 1))
        for group, own in zip(optimizer.param_groups, scale, strict=True):
            group["lr"] = rate * own / max(scale)
        loss = float(course.step(optimizer, scaler, batches))
        total = SMOOTHING * total + (1 - SMOOTHING) * loss
        smoothed = total / (1 - SMOOTHING ** (step + 1))
        if not math.isfinite(loss) or smoothed > BLOWN_UP * min(losses, default=smoothed):
            break
        rates.append(rate)
        losses.append(smoothed)
        if time.monotonic() > deadline:
            raise TooShort("optimizers.max_training_time is over before the range test is: give more, or a rate")
    course.restore()
    return RangeTest(tuple(rates), tuple(losses))


def longest_fall(values: Sequence[float]) -> list[int]:
    """Places of the longest strictly falling subsequence; of equally long ones the lowest.

    >>> longest_fall([5, 1, 4, 3, 9, 2])
    [0, 2, 3, 5]
    """
    ends: list[float] = []  # negated last value of the best fall of each length
    last: list[int] = []
    before = [-1] * len(values)
    for place, value in enumerate(values):
        length = bisect_left(ends, -value)
        before[place] = last[length - 1] if length else -1
        ends[length : length + 1] = [-value]
        last[length : length + 1] = [place]
    found, place = list[int](), last[-1] if last else -1
    while place >= 0:
        found.append(place)
        place = before[place]
    return found[::-1]


def neighbours(rate: float, lr_range: Sequence[float] | None) -> list[float]:
    """Rates around one, rising. lr_range: lowest and highest that may be tried, where that is given."""
    low, high = lr_range or (0.0, math.inf)
    center = min(max(rate, low), high)
    return sorted({min(max(float(f"{center * factor:.2g}"), low), high) for factor in NEIGHBOURS})


def find_rate(
    course: Course,
    node: dict[str, Any],
    given: AutoSettings,
    rules: SearchSettings,
    trainings: Trainings | None = None,
) -> Found:
    """The best rate for one optimizer, whose own `lr_falls` says how rates of shorter trainings compare.

    node: its configuration; the rate in it does not matter. The range test is part of given.max_training_time.
    """
    began = time.monotonic()
    tested = range_test(course, build(node | {"lr": 1.0}), deadline=began + (given.seconds or math.inf))
    if len(tested.rates) < 2:
        raise ValueError("optimizers.lr=auto: the loss is not finite at any rate; look at the data and the loss")
    log.info("rate finder: the valley lies at %.2g, the lowest loss at %.2g", tested.valley, tested.lowest)
    rates = neighbours(tested.lowest, given_range(node))
    arms = [Arm(str(node.get("name", "optimizer")), rate, node | {"lr": rate}) for rate in rates]
    left = _without(given, time.monotonic() - began)
    found = search(course, arms, left, replace(rules, horizon=given.lr_falls), trainings)
    found = replace(found, seconds=time.monotonic() - began)
    return found if rules.then == "continue" else replace(found, winner=between(found))


def _without(given: AutoSettings, seconds: float) -> AutoSettings:
    """With so much less time, where a time is given."""
    return given if given.seconds is None else replace(given, max_training_time=span(given.seconds - seconds))


def between(found: Found) -> Arm:
    """The winner at the rate where a parabola through the log losses of its rate and the nearest ones is lowest.

    One parabola for all rounds, each at its own height: a loss varies by chance more than neighbouring rates differ.
    Never beyond the rates that trained.
    """
    won = math.log(found.winner.lr)
    near = [one for one in found.tried if 0 < one.loss < math.inf and abs(math.log(one.arm.lr) - won) < 1.1 * STEP]
    logs, rounds = np.log([one.arm.lr for one in near]), np.array([one.round for one in near])
    heights = rounds[:, None] == np.unique(rounds)
    unknown = np.column_stack((logs**2, logs, heights))
    if len(near) < unknown.shape[1]:
        return found.winner
    square, slope, *_ = np.linalg.lstsq(unknown, np.log([one.loss for one in near]))[0]
    if square <= 0:
        return found.winner
    rate = float(f"{math.exp(np.clip(-slope / (2 * square), logs.min(), logs.max())):.2g}")
    return replace(found.winner, lr=rate, node=found.winner.node | {"lr": rate})
