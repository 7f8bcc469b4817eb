"""A quick start and a quick end of a process that imports torch: its million objects are neither searched nor freed."""

import atexit
import gc
import importlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.machinery import PathFinder
from types import ModuleType
from typing import Any, NoReturn

from utils.build import ROOT

SIGNAL = "scipy.signal"


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
    if "torchmetrics" not in sys.modules and SIGNAL not in sys.modules:
        sys.modules[SIGNAL] = _Signal()
    try:
        yield
    finally:
        if len(sys.modules) > loaded:
            gc.freeze()
        if running:
            gc.enable()


class _Signal(ModuleType):
    """In place of scipy.signal until something of it is used.

    torchmetrics imports it to give it one name, for a package that is not here; with what it brings along that is a
    sixth of the time until a training begins.
    """

    def __init__(self) -> None:
        super().__init__(SIGNAL)
        scipy = PathFinder.find_spec("scipy")
        self.__spec__ = PathFinder.find_spec(SIGNAL, scipy.submodule_search_locations) if scipy else None
        self.__file__ = self.__spec__.origin if self.__spec__ else None
        self.__path__ = (self.__spec__.submodule_search_locations if self.__spec__ else None) or []

    @staticmethod
    def hamming(*arguments: Any, **options: Any) -> Any:
        """The name that torchmetrics would give."""
        from scipy.signal.windows import hamming

        return hamming(*arguments, **options)

    def __getattr__(self, name: str) -> Any:
        if sys.modules.get(SIGNAL) is self:
            del sys.modules[SIGNAL]
        loaded = importlib.import_module(SIGNAL)
        vars(loaded).setdefault("hamming", self.hamming)
        return getattr(loaded, name)


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
        for stream in filter(None, (sys.stdout, sys.stderr)):  # there is none where it was closed from the beginning
            stream.flush()
    except BrokenPipeError:  # whoever read it has gone
        status = status or 1
    os._exit(status)
