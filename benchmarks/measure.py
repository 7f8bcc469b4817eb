"""CPU- and wall-seconds of a command that trains, whole and epoch by epoch, watched from outside."""

import csv
import os
import resource
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Literal

import psutil

POLL_S = 0.01
Kind = Literal["cpu", "wall"]
KINDS: tuple[Kind, ...] = ("cpu", "wall")


@dataclass(frozen=True)
class Usage:
    """What something took: wall-clock seconds and CPU-seconds of all its processes."""

    wall_s: float
    cpu_s: float

    def seconds(self, kind: Kind) -> float:
        return self.cpu_s if kind == "cpu" else self.wall_s

    def __sub__(self, other: "Usage") -> "Usage":
        return Usage(self.wall_s - other.wall_s, self.cpu_s - other.cpu_s)


@dataclass(frozen=True)
class Watch:
    """The CSV file in which a tool leaves one value of `column` an epoch; found by `pattern` below `folder`."""

    folder: Path
    pattern: str
    column: str

    def state(self) -> tuple[int, int]:
        """Changes whenever the file does."""
        facts = next((file.stat() for file in self._files()), None)
        return (facts.st_mtime_ns, facts.st_size) if facts else (0, 0)

    def values(self) -> list[float]:
        """The column so far, rows without a value left out."""
        for file in self._files():
            with file.open(newline="") as lines:
                return [float(row[self.column]) for row in csv.DictReader(lines) if row.get(self.column)]
        return []

    def _files(self) -> Iterator[Path]:
        return self.folder.glob(self.pattern)


@dataclass(frozen=True)
class Measured:
    """One command: all of it, each epoch after the first, and the watched value after each epoch."""

    whole: Usage
    epochs: list[Usage]
    values: list[float]

    @property
    def epoch(self) -> Usage:
        """The median epoch after the first."""
        return Usage(median(one.wall_s for one in self.epochs), median(one.cpu_s for one in self.epochs))


class ToolFailed(RuntimeError):
    """A command ended with an error or without what it should have left; says which and how its output ended."""


def measure(command: list[str], watch: Watch, log: Path, folder: Path, environment: Mapping[str, str]) -> Measured:
    """Runs the command in `folder` to its end; what it prints goes to `log`.

    An epoch lasts from one new value in the watched file to the next, validation and checkpoint included. CPU-seconds
    are those of the whole process tree. Raises ToolFailed.
    """
    before, started = _finished_children_s(), time.perf_counter()
    with log.open("w") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, cwd=folder, env=os.environ | dict(environment)
        )
        try:
            marks = _marks(process, watch, started)
        finally:
            process.kill()
            process.wait()
    whole = Usage(time.perf_counter() - started, _finished_children_s() - before)
    if process.returncode:
        raise ToolFailed(f"{' '.join(command)} ended with {process.returncode}:\n{log.read_text()[-3000:]}")
    if len(marks) < 2:
        raise ToolFailed(f"{' '.join(command)} left {len(marks)} values of {watch.column} below {watch.folder}, "
                         f"2 are needed:\n{log.read_text()[-3000:]}")  # fmt: skip
    return Measured(whole, [later - mark for mark, later in pairwise(marks)], watch.values())


def _marks(process: "subprocess.Popen[bytes]", watch: Watch, started: float) -> list[Usage]:
    """What the process had taken each time the watched file got another value."""
    marks: list[Usage] = []
    seen = watch.state()
    while process.poll() is None:
        time.sleep(POLL_S)
        if (now := watch.state()) == seen:
            continue
        seen, taken = now, Usage(time.perf_counter() - started, tree_s(process.pid))
        if len(watch.values()) > len(marks):
            marks.append(taken)
    return marks


def tree_s(pid: int) -> float:
    """CPU-seconds of a running process, its descendants, and those of them that ended."""
    total = 0.0
    with suppress(psutil.NoSuchProcess):
        root = psutil.Process(pid)
        for process in (root, *root.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                total += sum(process.cpu_times()[:4])  # user, system, and both of ended children
    return total


def _finished_children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
