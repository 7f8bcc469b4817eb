"""A quick start and a quick end of a process that imports torch: its million objects are neither searched nor freed."""

import atexit
import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from utils.build import ROOT


def python_path() -> str:
    """PYTHONPATH with this project in front, for processes that are started."""
    former = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return os.pathsep.join([str(ROOT), *(part for part in former if part and part != str(ROOT))])


@contextmanager
def loading() -> Iterator[None]:
    """Around imports of large packages, in a process that ends by `leave`: nothing is collected while they load.

    They make objects that stay; to look for garbage meanwhile takes a quarter of the import's time. Nor is it looked
    for among them later. Where all is loaded already nothing is kept: it would be what earlier work has left.
    """
    running, loaded = gc.isenabled(), len(sys.modules)
    gc.disable()
    try:
        yield
    finally:
        if len(sys.modules) > loaded:
            gc.freeze()
        if running:
            gc.enable()


def whole(work: Callable[[], None]) -> NoReturn:
    """All that a process does, from its first import to its end by `leave`, with the status that Python would give."""
    status: Any = 0
    try:
        work()
    except SystemExit as end:
        status = end.code or 0
    except KeyboardInterrupt:
        status = 128 + signal.SIGINT
    except BaseException:  # noqa: BLE001 - the process's outermost frame
        sys.excepthook(*sys.exc_info())
        status = 1
    if isinstance(status, str):
        print(status, file=sys.stderr)
        status = 1
    leave(status)


def leave(status: int) -> NoReturn:
    """Ends the process: what waits for its end is done as Python does it, but no object is freed, which takes seconds.

    Compiled packages would also tell of frozen objects as if they were leaks. A profiler or debugger, which has its
    say after the program, is not cut off.
    """
    if sys.getprofile() or sys.gettrace():
        sys.exit(status)
    threading._shutdown()  # type: ignore[attr-defined]  # waits for threads
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:  # whoever read it has gone
        status = status or 1
    os._exit(status)
