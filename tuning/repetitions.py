"""How often a call is timed: until its median is known well enough, or two seconds are over."""

import math
import time
from collections.abc import Callable

Clock = Callable[[], float]

MEASURED_S, WARM_S = 2.0, 0.3
LEAST, LEAST_TO_BE_SURE, MOST, WARM = 4, 30, 2000, 10
NARROW = 0.02  # of the median: width of its interval
SURE = 1.96  # 95 %
LOOK_EVERY = 10  # calls


def timed(call: Callable[[], object], clock: Clock = time.perf_counter) -> list[float]:
    """Seconds of each call: at least 4, then until the interval of the median is narrow or 2 s are over."""
    _repeated(call, clock, lambda spent: len(spent) >= WARM or sum(spent) >= WARM_S)
    return _repeated(call, clock, enough)


def _repeated(call: Callable[[], object], clock: Clock, ended: Callable[[list[float]], bool]) -> list[float]:
    spent: list[float] = []
    while not ended(spent):
        began = clock()
        call()
        spent.append(clock() - began)
    return spent


def enough(spent: list[float]) -> bool:
    """Whether these times say what the median is."""
    if len(spent) < LEAST:
        return False
    if sum(spent) >= MEASURED_S or len(spent) >= MOST:
        return True
    return len(spent) >= LEAST_TO_BE_SURE and len(spent) % LOOK_EVERY == 0 and is_narrow(spent)


def is_narrow(spent: list[float]) -> bool:
    """Of the median's 95 % interval by order statistics, which asks nothing of how the times are spread."""
    ordered, count = sorted(spent), len(spent)
    reach = SURE * math.sqrt(count) / 2
    low, high = max(0, math.floor(count / 2 - reach)), min(count - 1, math.ceil(count / 2 + reach))
    return ordered[high] - ordered[low] <= NARROW * ordered[count // 2]
