"""tune.backend=local: trials on this machine with nothing to start, so the best for small work.

One after the other in this process, or `tune.at_once` of them side by side in processes that load torch once.
"""

import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing.connection import wait

from tuning.interruption import SearchInterrupted
from tuning.orders import MOST_DEATHS, Ending, Order, dead
from tuning.pool import Pool, Worker
from tuning.results import load_the_page
from tuning.study import Study
from utils.loading import loading


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
    again, deaths, ahead = list[Order](), Counter[int](), study.pool
    while again or not study.is_over:
        with ahead or Pool(study.settings) as pool:
            ahead = None
            load_the_page()
            study.gpus = _gpus(study, pool.gpus_seen())
            for order in _left_by_the_dead(study, list(pool.workers), again):
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
        raise ValueError(f"tune.gpus_per_trial={asked} but there are {there} GPUs here: use {there} at most")
    return float(there > 0 and asked != 0)
