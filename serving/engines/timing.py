"""How fast engines answer: percentiles of a call for a batch size, in turns, so that all meet the same noise."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count

import numpy as np

from datamodule.decode import Pixels
from serving.engines.engine import Engine

WARM_UP, LEAST_CALLS, MOST_CALLS = 3, 20, 500
Clock = Callable[[], float]


@dataclass(frozen=True)
class Timed:
    """Of one batch size. images_per_s: from the median call."""

    p50_ms: float
    p95_ms: float
    p99_ms: float
    images_per_s: float


def timed(
    engines: Mapping[str, Engine], pixels: Pixels, seconds: float, clock: Clock = time.perf_counter
) -> dict[str, Timed]:
    """Each engine on the same batch, a call at a time in turns, for so many seconds each and at least 20 calls."""
    for engine in engines.values():
        for _ in range(WARM_UP):
            engine(pixels)
    spent: dict[str, list[float]] = {name: [] for name in engines}
    for turn in count(1):
        for name, engine in engines.items():
            began = clock()
            engine(pixels)
            spent[name].append(clock() - began)
        if turn >= MOST_CALLS or (turn >= LEAST_CALLS and all(sum(own) >= seconds for own in spent.values())):
            return {name: figures(own, len(pixels)) for name, own in spent.items()}
    raise AssertionError("the turns end by themselves")


def figures(spent: list[float], batch: int) -> Timed:
    """spent: seconds of each call."""
    p50, p95, p99 = (1000 * np.quantile(spent, (0.5, 0.95, 0.99))).tolist()
    return Timed(p50, p95, p99, 1000 * batch / p50)
