"""Work in child processes, forked from this one, which has imported what they need.

A crash, a hang or one that takes too much memory costs its own answer and no other.
"""

import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Generic, TypeVar

import psutil

from utils.lifetime import die_with

Job = TypeVar("Job")
Answer = TypeVar("Answer")

FORK = get_context("fork")  # Linux and macOS; nothing here has started threads or a GPU
POLL_S = 0.02
LEAVING_S = 10.0
LONGEST_REASON = 300


@dataclass(frozen=True)
class Failure:
    """Why there is no answer."""

    reason: str


@dataclass(frozen=True)
class Allowance:
    """Of all the jobs together: seconds. Of the process: resident MiB."""

    seconds: float
    memory_mib: float


def isolated(
    work: Callable[[Job], Answer], jobs: Sequence[Job], allowance: Allowance
) -> Iterator[tuple[Job, Answer | Failure]]:
    """Each job with its answer, in their order. One process does them all; what it leaves by dying goes to a new one.

    Answers are pickled; an exception is a Failure with its message.
    """
    waiting = list(jobs)
    deadline = time.monotonic() + allowance.seconds
    while waiting:
        with _Child(work, waiting) as child:
            while waiting and child.alive:
                answer = child.answer(deadline, allowance)
                yield waiting.pop(0), answer


class _Child(Generic[Job, Answer]):
    """One process at its jobs."""

    def __init__(self, work: Callable[[Job], Answer], jobs: Sequence[Job]) -> None:
        self.work, self.jobs, self.alive = work, list(jobs), True

    def __enter__(self) -> "_Child[Job, Answer]":
        self.said = tempfile.NamedTemporaryFile(prefix="evergreen-", suffix=".txt")
        self.answers, theirs = FORK.Pipe(duplex=False)
        self.process = FORK.Process(target=_serve, args=(self.work, self.jobs, theirs, self.said.name, os.getpid()))
        self.process.start()
        theirs.close()
        self.watched = psutil.Process(self.process.pid)
        return self

    def __exit__(self, *_: object) -> None:
        self._end()
        self.answers.close()
        self.said.close()

    def answer(self, deadline: float, allowance: Allowance) -> Answer | Failure:
        """Of the next job."""
        while not self.answers.poll(POLL_S):
            if time.monotonic() > deadline:
                return self._stopped(f"took longer than the model's {allowance.seconds:g} s (benchmark.time_limit)")
            if (used := _resident_mib(self.watched)) > allowance.memory_mib:
                return self._stopped(
                    f"took {used:,.0f} MiB of memory, {allowance.memory_mib:,.0f} are allowed (benchmark.memory_limit)"
                )
        try:
            found: Answer | Failure = self.answers.recv()
        except (EOFError, OSError):  # nothing of an answer, or a part of it
            return self._died()
        return found

    def _stopped(self, reason: str) -> Failure:
        self._end()
        return Failure(reason)

    def _died(self) -> Failure:
        self.process.join(LEAVING_S)
        code = self.process.exitcode
        self._end()
        how = f"was killed by {signal.Signals(-code).name}" if code is not None and code < 0 else f"ended with {code}"
        last = Path(self.said.name).read_text(errors="replace").strip().splitlines()[-1:]
        return Failure(f"its process {how}{': ' + last[0][:LONGEST_REASON] if last else ''}")

    def _end(self) -> None:
        """With all that it started; where it has ended by itself there may be nothing left to end."""
        self.alive = False
        for process in _family(self.process.pid):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.join()


def _serve(
    work: Callable[[Any], Any], jobs: Sequence[Any], answers: "Connection[Any, Any]", said: str, parent: int
) -> None:
    """The process: what native code prints goes to a file, whose last line may tell why it died."""
    die_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # not by the parent's handler
    descriptor = os.open(said, os.O_WRONLY | os.O_APPEND)
    sys.stdout.flush()
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    for job in jobs:
        answers.send(_tried(work, job))


def _tried(work: Callable[[Any], Any], job: Any) -> Any:
    try:
        return work(job)
    except Exception as error:  # noqa: BLE001 - the process's outermost frame: any error is this job's answer
        return Failure(f"{type(error).__name__}: {_in_a_line(str(error))}"[:LONGEST_REASON].removesuffix(": "))


def _in_a_line(message: str) -> str:
    """The first one; all of them where it only announces the others."""
    first = next(iter(message.strip().splitlines()), "").strip()
    return " ".join(message.split()) if first.endswith(":") else first


def _family(pid: int | None) -> list[psutil.Process]:
    try:
        head = psutil.Process(pid)
        return [*head.children(recursive=True), head]
    except psutil.NoSuchProcess:
        return []


def _resident_mib(process: psutil.Process) -> float:
    try:
        return float(process.memory_info().rss) / 2**20
    except psutil.NoSuchProcess:
        return 0.0
