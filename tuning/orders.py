"""What a worker is told of a trial, and what it tells at its end; torch-free, since whoever asks need not train."""

import math
import time
from dataclasses import dataclass, field
from typing import Any

Config = dict[str, Any]
MOST_DEATHS = 3  # of a trial's worker; then the trial has failed


@dataclass(frozen=True)
class Order:
    """What a worker needs for a trial: plain values, all paths absolute.

    deadline: time.time() at which it ends. latency: measure how long one image takes, too. handed_on: so often, in
    epochs, its state is kept for trials that may go on from it; 0: never. goes_on_from: such a state's folder.
    """

    number: int
    config: Config
    folder: str
    deadline: float | None = None
    latency: bool = False
    handed_on: int = 0
    goes_on_from: str | None = None

    @property
    def seconds_left(self) -> float:
        """Until the deadline."""
        return math.inf if self.deadline is None else self.deadline - time.time()

    def is_handed_on(self, epoch: int) -> bool:
        return self.handed_on > 0 and epoch % self.handed_on == 0


@dataclass(frozen=True)
class Ending:
    """How a trial ended; figures: of the whole trial. without_images: `error` is why they cannot be had."""

    figures: dict[str, float] = field(default_factory=dict)
    stopped: bool = False
    diverged: bool = False
    error: str = ""
    without_images: bool = False


def dead() -> Ending:
    """Of a trial that is given up."""
    return Ending(error=f"its worker died {MOST_DEATHS + 1} times: killed, or out of memory?")
