"""A schedule that completes its decay within a time, whatever the machine does, and can be replayed step by step."""

import time
from bisect import bisect_right
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import distributed
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from models.schedulers import Shape, decay, warmed_up
from models.settings import duration

MARKS = 1000  # the progress is followed in thousandths, so that its record stays short

CLOCKS: dict[str, Callable[[], float]] = {"wall": time.monotonic, "cpu": time.process_time}


class TimeBudget(LRScheduler):
    """The rate follows the share of `budget` that has passed, in thousandths.

    budget: "DD:HH:MM:SS" or seconds, counted from the making of the schedule over all parts of a resumed run; `clock`
    says whether of wall time or of this process's CPU time. The training also counts as complete when total_steps are
    done first. realised: what `realised()` of an earlier run answered; it is then followed instead of the clock.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        total_steps: int,
        steps_per_epoch: int,
        budget: str | float | None,
        clock: Literal["wall", "cpu"] = "wall",
        shape: Literal["linear", "cosine"] = "linear",
        warmup: float = 0.05,
        final: float = 0.0,
        realised: list[int] | None = None,
    ) -> None:
        if budget is None and realised is None:
            raise ValueError('schedulers=time_budget needs a time: give trainer.max_time="00:00:30:00" (half an hour)')
        self.seconds = 0.0 if budget is None else _seconds(budget)
        self.now, self.total_steps = CLOCKS[clock], max(1, total_steps)
        self.factor: Shape = warmed_up(decay(shape, final), warmup)
        self.replayed = realised
        self.marks: list[int] = []
        self.spent, self.since = 0.0, self.now()
        super().__init__(optimizer)

    def get_lr(self) -> list[float | Any]:
        if self.replayed is None:
            share = _agreed(max(self.elapsed / self.seconds, self.last_epoch / self.total_steps), self.optimizer)
            self.marks += [self.last_epoch] * (min(int(MARKS * share), MARKS) - len(self.marks))
        progress = (self.done + 0.5) / (MARKS + 1)
        return [rate * self.factor(progress) for rate in self.base_lrs]

    @property
    def elapsed(self) -> float:
        """Seconds of the clock spent so far."""
        return self.spent + self.now() - self.since

    @property
    def done(self) -> int:
        """How many thousandths of the decay are done at this step."""
        return bisect_right(self.realised(), self.last_epoch)

    @property
    def finished(self) -> bool:
        """Whether the decay is complete: to go on would train at the final rate."""
        return self.done >= MARKS

    def realised(self) -> list[int]:
        """The step at which each thousandth of the decay was reached: at most 1,000 numbers, never falling."""
        return self.marks if self.replayed is None else self.replayed

    def state_dict(self) -> dict[str, Any]:
        state = {"last_epoch": self.last_epoch, "base_lrs": self.base_lrs, "_last_lr": self._last_lr}
        return {**state, "_step_count": self._step_count, "marks": self.marks, "spent": self.elapsed}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self.since = self.now()


def _seconds(budget: str | float) -> float:
    seconds = duration(budget).total_seconds() if isinstance(budget, str) else float(budget)
    if seconds <= 0:
        raise ValueError(f"schedulers.budget={budget}: use a time above 0")
    return seconds


def _agreed(share: float, optimizer: Optimizer) -> float:
    """The furthest share of all processes of a distributed training, which must all use one rate."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return share
    furthest = torch.tensor(share, device=optimizer.param_groups[0]["params"][0].device)
    distributed.all_reduce(furthest, distributed.ReduceOp.MAX)
    return float(furthest)
