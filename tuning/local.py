"""tune.backend=local: trials one after the other in this process; nothing to start, so the best for small work."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch

from tuning.interruption import SearchInterrupted
from tuning.study import Study
from tuning.trial import run_trial


def search(study: Study) -> None:
    """Runs trials until the study is over."""
    study.gpus = _gpus(study)
    with _answering_sigterm(study):
        while (order := study.next()) is not None:
            study.end(order.number, run_trial(order, partial(study.report, order.number)))


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


def _gpus(study: Study) -> float:
    there = torch.cuda.device_count() if study.problem.config["trainer"]["accelerator"] != "cpu" else 0
    asked = study.settings.gpus_per_trial
    if asked != "auto" and asked > there:
        raise ValueError(f"tune.gpus_per_trial={asked} but there are {there} GPUs here: use {there} or less")
    return float(there > 0 and asked != 0)
