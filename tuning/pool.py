"""Processes that wait for trials with torch loaded: they can be begun before it is settled what they will train."""

import os
import signal
import subprocess
import sys
from multiprocessing import Pipe
from multiprocessing.connection import Connection

from tuning.settings import TuneSettings
from utils.loading import python_path

Worker = Connection  # an order goes there; from there come an epoch and its figures, which are answered, or an ending


class Pool:
    """`tune.at_once` processes of tuning/local_worker.py, forked from one that loads torch, on so many threads each.

    `with` ends them; they end with this process, too.
    """

    def __init__(self, settings: TuneSettings) -> None:
        pairs = [Pipe() for _ in range(min(settings.at_once, settings.trials))]
        theirs = [one.fileno() for _, one in pairs]
        threads = {"OMP_NUM_THREADS": str(max(1, int(settings.cpus_per_trial)))}
        self.workers: list[Worker] = [own for own, _ in pairs]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tuning.local_worker", str(os.getpid()), *map(str, theirs)],
            env=threads | os.environ | {"PYTHONPATH": python_path()}, pass_fds=theirs, start_new_session=True,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        for _, their in pairs:
            their.close()

    def gpus_seen(self) -> int:
        """Waits until all have loaded torch. Raises ValueError where one died before."""
        try:
            return min(int(worker.recv()) for worker in self.workers)
        except (EOFError, OSError) as error:
            raise ValueError("tune.at_once: a process died as it loaded torch: use fewer, or 1") from error

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        for worker in self.workers:
            worker.close()


def pool_of(settings: TuneSettings) -> Pool | None:
    """Where trials are side by side on this machine."""
    return Pool(settings) if settings.backend == "local" and settings.at_once > 1 else None
