"""Learning-rate schedules: each a factor on the groups' own rates, so that rates per layer keep their proportion.

Every schedule is made by `schedule(optimizer, total_steps=…, steps_per_epoch=…)`, stepped after each training step
(Plateau: after each validation), and begins with a linear warm-up over the share `warmup` of the training.
A shape is a function from the share of the training done, 0 … 1, to the factor.
"""

import math
from bisect import bisect_right
from collections.abc import Callable
from typing import Literal

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

Shape = Callable[[float], float]


def warmed_up(shape: Shape, warmup: float, start: float = 0.0) -> Shape:
    """The shape squeezed into what follows a linear rise from `start` to 1 over the share `warmup`."""
    if not 0 <= warmup < 1:
        raise ValueError(f"schedulers.warmup={warmup}: use a share of the training, from 0 to below 1")

    def factor(progress: float) -> float:
        if progress < warmup:
            return start + (1 - start) * progress / warmup
        return shape(min((progress - warmup) / (1 - warmup), 1.0))

    return factor


def by_step(optimizer: Optimizer, total_steps: int, factor: Shape) -> LambdaLR:
    """A schedule that follows the count of steps; the warm-up's first step already moves."""
    steps = max(1, total_steps)
    return LambdaLR(optimizer, lambda step: factor(min((step + 0.5) / steps, 1.0)))


def constant(optimizer: Optimizer, total_steps: int, steps_per_epoch: int, warmup: float = 0.0) -> LambdaLR:
    """The full rate to the end."""
    return by_step(optimizer, total_steps, warmed_up(lambda _: 1.0, warmup))


def linear(
    optimizer: Optimizer, total_steps: int, steps_per_epoch: int, warmup: float = 0.05, final: float = 0.0
) -> LambdaLR:
    """A straight line to `final` times the rate."""
    return by_step(optimizer, total_steps, warmed_up(_polynomial(1.0, final), warmup))


def polynomial(
    optimizer: Optimizer,
    total_steps: int,
    steps_per_epoch: int,
    warmup: float = 0.05,
    final: float = 0.0,
    power: float = 2.0,
) -> LambdaLR:
    """(1 - progress)^power, down to `final` times the rate."""
    return by_step(optimizer, total_steps, warmed_up(_polynomial(power, final), warmup))


def cosine(
    optimizer: Optimizer, total_steps: int, steps_per_epoch: int, warmup: float = 0.05, final: float = 0.0
) -> LambdaLR:
    """Half a cosine to `final` times the rate (Loshchilov & Hutter 2017, arXiv:1608.03983)."""
    return by_step(optimizer, total_steps, warmed_up(_cosine(final), warmup))


def one_cycle(
    optimizer: Optimizer,
    total_steps: int,
    steps_per_epoch: int,
    warmup: float = 0.3,
    start: float = 0.04,
    final: float = 1e-4,
) -> LambdaLR:
    """A long rise from `start` times the rate, then half a cosine far below it (Smith 2018, arXiv:1803.09820)."""
    return by_step(optimizer, total_steps, warmed_up(_cosine(final), warmup, start))


def step(
    optimizer: Optimizer,
    total_steps: int,
    steps_per_epoch: int,
    warmup: float = 0.05,
    gamma: float = 0.1,
    milestones: list[float] | None = None,
    every_epochs: float | None = None,
) -> LambdaLR:
    """Times `gamma` at each milestone, a share of the training, or once in `every_epochs`.

    The milestones are counted from the training's start, warm-up included.
    """
    if (milestones is None) == (every_epochs is None):
        raise ValueError("schedulers=step: give either milestones (shares of the training) or every_epochs")
    if every_epochs is not None:
        length = every_epochs * steps_per_epoch / max(1, total_steps)
        if length <= 0:
            raise ValueError(f"schedulers.every_epochs={every_epochs}: use a number above 0")
        milestones = [count * length for count in range(1, math.ceil(1 / length))]
    drops = sorted(milestones or [])
    rise = warmed_up(lambda _: 1.0, warmup)
    return by_step(optimizer, total_steps, lambda progress: rise(progress) * gamma ** bisect_right(drops, progress))


class Plateau(ReduceLROnPlateau):
    """Times `gamma` when the watched figure has not improved for `patience` validations.

    warmup_epochs: validations over which the rate first rises in equal steps; none of them counts for the patience.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        total_steps: int,
        steps_per_epoch: int,
        warmup_epochs: int = 1,
        gamma: float = 0.1,
        patience: int = 3,
        mode: str = "min",
        min_lr: float = 0.0,
    ) -> None:
        self.warmup_epochs, self.seen = warmup_epochs, 0
        super().__init__(optimizer, mode=mode, factor=gamma, patience=patience, min_lr=min_lr)  # type: ignore[arg-type]
        self.full = [float(group["lr"]) for group in optimizer.param_groups]
        self._rise()

    def step(self, metrics: float, epoch: int | None = None) -> None:  # type: ignore[override]
        self.seen += 1
        if self.seen <= self.warmup_epochs:
            self._rise()
        else:
            super().step(metrics, epoch)

    def _rise(self) -> None:
        share = (self.seen + 1) / (self.warmup_epochs + 1)
        for group, rate in zip(self.optimizer.param_groups, self.full, strict=True):
            group["lr"] = rate * min(share, 1.0)
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]


def decay(shape: Literal["linear", "cosine"], final: float) -> Shape:
    """A shape by its name, from 1 down to `final`."""
    return _polynomial(1.0, final) if shape == "linear" else _cosine(final)


def _polynomial(power: float, final: float) -> Shape:
    return lambda progress: final + (1 - final) * (1 - progress) ** power


def _cosine(final: float) -> Shape:
    return lambda progress: final + (1 - final) * 0.5 * (1 + math.cos(math.pi * progress))
