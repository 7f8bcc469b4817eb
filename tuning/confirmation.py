"""Whether a choice keeps its limits once more: at the edge of a limit, a single measurement kept it by chance."""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.special import stdtrit

from tuning.benchmark_page import name
from tuning.limits import FEWEST_REPEATS, Limit, Limits
from tuning.published import Joined
from tuning.speed_table import Row

log = logging.getLogger(__name__)

SURE = 0.95
FIGURES = {"latency_ms": "p95_ms", "throughput": "images_per_s", "memory_mib": "peak_mib"}  # differ between processes


@dataclass(frozen=True)
class Again:
    """one: with the figures it is sure to keep, or the one that broke a limit. told: in words."""

    one: Joined
    keeps: bool
    told: str


def can_differ(limits: Limits) -> list[Limit]:
    """The given limits on figures that another process may not repeat."""
    return [limit for limit in limits.given if limit.key in FIGURES]


def measured_again(one: Joined, limits: Limits, measure: Callable[[], Row]) -> Again:
    """Up to limits.repeats times, each in a fresh process, until the next one is 95 % sure to keep the limits.

    The first that breaks one ends it. measure: once more, in a process of its own.
    """
    rows = list[Row]()
    for _ in range(limits.repeats):
        rows.append(measure())
        found = replace(one, row=rows[-1])
        if not found.row.works or limits.breaches(found):
            return Again(found, False, _broken(found, limits, len(rows)))
        if len(rows) >= FEWEST_REPEATS:
            found = replace(one, row=_next(rows, limits))
            if not limits.breaches(found):
                return Again(found, True, _kept(found, limits, len(rows)))
    return Again(found, False, _broken(found, limits, len(rows)))


def _next(rows: Sequence[Row], limits: Limits) -> Row:
    """A row as the next one will be no worse than, with 95 % (Student's prediction bound of the logarithms)."""
    figures = dict[str, Any]()
    for limit in can_differ(limits):
        column = FIGURES[limit.key]
        logs = np.log([getattr(row, column) for row in rows])
        far = float(logs.std(ddof=1) * stdtrit(len(rows) - 1, SURE)) * math.sqrt(1 + 1 / len(rows))
        figures[column] = math.exp(float(logs.mean()) + (-far if limit.at_least else far))
    return replace(rows[-1], **figures)


def _kept(found: Joined, limits: Limits, times: int) -> str:
    return f"measured again {times} times, the next is 95 % sure to keep {_figures(found, limits)}"


def _broken(found: Joined, limits: Limits, times: int) -> str:
    what = found.row.error or _figures(found, limits)
    told = f"{name(found)} is left out: measured again {times} times it shows {what}"
    log.info(told)
    return told


def _figures(found: Joined, limits: Limits) -> str:
    return ", ".join(limit.told(found, getattr(limits, limit.key)) for limit in can_differ(limits))
