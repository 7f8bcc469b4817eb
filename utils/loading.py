"""Importing without garbage collection."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def loading() -> Iterator[None]:
    """Around imports of large packages: nothing is collected while they load, and never are their objects looked at
    again.

    Torch and what it needs make a million objects that stay. Collecting meanwhile takes a quarter of an import's time,
    and looking them through once more as the process ends takes seconds.
    """
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if running:
            gc.enable()
