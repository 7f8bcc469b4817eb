"""Trials for another process: python -m tuning.local_worker PARENT CONNECTION ...; a process for each connection.

They are forked from one that has loaded torch and computed nothing yet.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from typing import Any

from tuning.orders import Ending
from utils.lifetime import die_with
from utils.loading import loading
from utils.log import to_terminal


def work(asked: "Connection[Any, Any]") -> None:
    """Says how many GPUs there are, then takes one order after the other: tells its figures epoch by epoch, which is
    answered, and its ending."""
    import torch

    from tuning.trial import run_trial

    def report(epoch: int, figures: dict[str, float]) -> bool:
        with needed():
            asked.send((epoch, figures))
            return bool(asked.recv())

    told: int | Ending = torch.cuda.device_count()
    while True:
        with needed():
            asked.send(told)
            order = asked.recv()
        told = run_trial(order, report)


@contextmanager
def needed() -> Iterator[None]:
    """The process ends where whoever asked has gone: no training's error."""
    try:
        yield
    except (EOFError, BrokenPipeError, ConnectionResetError):
        os._exit(1)


def main(parent: int, descriptors: list[int]) -> None:
    die_with(parent)
    to_terminal()
    with loading():
        import tuning.trial  # noqa: F401
    host = os.getpid()
    for own in descriptors:
        if os.fork() == 0:
            die_with(host)
            for other in descriptors:  # as long as they are open here, nobody hears that their process is gone
                if other != own:
                    os.close(other)
            work(Connection(own))
    for descriptor in descriptors:
        os.close(descriptor)
    with suppress(ChildProcessError):  # all of them are gone
        while True:
            os.wait()


if __name__ == "__main__":
    main(int(sys.argv[1]), [int(word) for word in sys.argv[2:]])
