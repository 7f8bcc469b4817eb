"""tune.backend=local: trials on this machine with nothing to start, so the best for small work.

One after the other in this process, or `tune.at_once` of them side by side in processes that load torch once.
"""

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait

from tuning.interruption import SearchInterrupted
from tuning.orders import MOST_DEATHS, Ending, Order, dead
from tuning.study import Study
from utils.loading import loading, python_path

Worker = Connection  # an order goes there; from there come an epoch and its figures, which are answered, or an ending


def search(study: Study) -> None:
    """Runs trials until the study is over."""
    with _answering_sigterm(study):
        if study.settings.at_once > 1:
            _side_by_side(study)
        else:
            _one_by_one(study)


def _one_by_one(study: Study) -> None:
    with loading():
        import torch

        from tuning.trial import run_trial

    study.gpus = _gpus(study, torch.cuda.device_count())
    while (order := study.next()) is not None:
        study.end(order.number, run_trial(order, partial(study.report, order.number)))


def _side_by_side(study: Study) -> None:
    """A trial whose process dies begins again in another one; where all have died there are new ones."""
    again, deaths = list[Order](), Counter[int]()
    while again or not study.is_over:
        with _workers(study) as idle:
            for order in _left_by_the_dead(study, idle, again):
                deaths[order.number] += 1
                if deaths[order.number] > MOST_DEATHS:
                    study.end(order.number, dead())
                else:
                    again.append(order)


def _left_by_the_dead(study: Study, idle: list[Worker], again: list[Order]) -> Iterator[Order]:
    """Keeps the workers busy until nothing is left to do, or none of them; yields what one was at as it died."""
    busy = dict[Worker, Order]()
    while True:
        while idle and (order := again.pop() if again else study.next()) is not None:
            worker = idle.pop()
            try:
                worker.send(order)
            except OSError:
                yield order
            else:
                busy[worker] = order
        if not busy:
            return
        ready = wait(list(busy))
        for worker in [one for one in busy if one in ready]:
            try:
                said = worker.recv()
            except (EOFError, OSError):
                yield busy.pop(worker)
                continue
            if isinstance(said, Ending):
                study.end(busy.pop(worker).number, said)
                idle.append(worker)
            else:
                answer = study.report(busy[worker].number, *said)
                with suppress(BrokenPipeError):  # that it has died is heard next
                    worker.send(answer)


@contextmanager
def _workers(study: Study) -> Iterator[list[Worker]]:
    """Connections to as many processes as are wanted, which wait for orders; afterwards they are gone."""
    pairs = [Pipe() for _ in range(min(study.settings.at_once, study.wanted))]
    theirs = [one.fileno() for _, one in pairs]
    threads = {"OMP_NUM_THREADS": str(max(1, int(study.settings.cpus_per_trial)))}
    process = subprocess.Popen(
        [sys.executable, "-m", "tuning.local_worker", str(os.getpid()), *map(str, theirs)],
        env=threads | os.environ | {"PYTHONPATH": python_path()}, pass_fds=theirs, start_new_session=True,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        for _, their in pairs:
            their.close()
        _load_the_report()
        study.gpus = _gpus(study, min(_gpus_seen(own) for own, _ in pairs))
        yield [own for own, _ in pairs]
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for own, _ in pairs:
            own.close()


def _gpus_seen(worker: Worker) -> int:
    """The first that a process says. Raises ValueError where it died before."""
    try:
        return int(worker.recv())
    except (EOFError, OSError) as error:
        raise ValueError("tune.at_once: a process died as it loaded torch: use fewer, or 1") from error


def _load_the_report() -> None:
    """What the search's page needs, while the workers load torch."""
    with loading():
        import matplotlib.backends.backend_agg  # noqa: F401
        import sklearn.ensemble  # noqa: F401


@contextmanager
def _answering_sigterm(study: Study) -> Iterator[None]:
    """SIGTERM unwinds as Ctrl-C does, which no trial takes for an error of its own, and is told as what it was."""
    asked = list[int]()
    former = signal.signal(signal.SIGTERM, partial(_unwind, asked))
    try:
        yield
    except KeyboardInterrupt:
        if asked:
            raise SearchInterrupted(asked[0], len(study.ended)) from None
        raise
    finally:
        signal.signal(signal.SIGTERM, former)


def _unwind(asked: list[int], number: int, frame: object) -> None:
    asked.append(number)
    raise KeyboardInterrupt


def _gpus(study: Study, count: int) -> float:
    """Of a trial. count: of this machine."""
    there = count if study.problem.config["trainer"]["accelerator"] != "cpu" else 0
    asked = study.settings.gpus_per_trial
    if asked != "auto" and asked > there:
        raise ValueError(f"tune.gpus_per_trial={asked} but there are {there} GPUs here: use {there} or less")
    return float(there > 0 and asked != 0)
