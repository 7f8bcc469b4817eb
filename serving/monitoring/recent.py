"""What was worked out a moment ago, so that many open pages cost as much as one."""

import time
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Any

MOST = 64  # answers


class Recent:
    """seconds: for which an answer is good."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._known: dict[Hashable, tuple[float, Any]] = {}
        self._working = Lock()

    def get(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """The answer, made where there is none that is good; who asks for it meanwhile waits for the same one."""
        with self._working:
            known = self._known.get(key)
            if known is None or known[0] < time.monotonic():
                while len(self._known) >= MOST:
                    del self._known[next(iter(self._known))]
                self._known.pop(key, None)
                found = make()
                known = self._known[key] = (time.monotonic() + self.seconds, found)  # good from when it is there
            return known[1]
