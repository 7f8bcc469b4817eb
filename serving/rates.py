"""How often one token may ask: a token bucket each, so that one client cannot take the others' turn."""

import math
import time
from collections.abc import Callable

BURST_SECONDS = 2.0  # a client that was quiet may ask for so long's worth at once
MOST_CLIENTS = 10_000  # that are remembered before all begin anew


class TooOften(Exception):
    """after_seconds: when the next request will be taken."""

    def __init__(self, per_second: float, after_seconds: int) -> None:
        super().__init__(f"this token may send {per_second:g} requests a second")
        self.after_seconds = after_seconds


class Rates:
    """per_second: requests of a token; 0: as many as it likes. clock: in seconds."""

    def __init__(self, per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_second, self.most, self.clock = per_second, max(1.0, BURST_SECONDS * per_second), clock
        self._left: dict[int, tuple[float, float]] = {}  # requests, and when that was

    def take(self, client: int) -> None:
        """Counts a request. Raises TooOften."""
        if not self.per_second:
            return
        now = self.clock()
        left, then = self._left.get(client, (self.most, now))
        left = min(self.most, left + (now - then) * self.per_second)
        if left < 1:
            self._left[client] = left, now
            raise TooOften(self.per_second, math.ceil((1 - left) / self.per_second))
        if len(self._left) >= MOST_CLIENTS:
            self._left = {}
        self._left[client] = left - 1, now
