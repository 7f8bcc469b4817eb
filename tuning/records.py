"""One trial as the search knows it, and the journal that outlives the search's process."""

import json
import math
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from tuning.objectives import Goal
from tuning.space import Value

State = Literal["running", "complete", "stopped", "failed"]


@dataclass
class Trial:
    """values: of the space's parameters. curve: (epoch, figures) of each validation. figures: of the whole trial.

    state: complete: trained to its end; stopped: by the scheduler, or because the time was up; failed: see `error`.
    seconds: that it took. elapsed: of the search, when it ended. diverged: it failed since its loss was not finite.
    past: of a population's trial: (epoch until which its weights were trained with others, those values). chosen: what
    its training chose itself, by key.
    """

    number: int
    values: dict[str, Value]
    state: State = "running"
    curve: list[tuple[int, dict[str, float]]] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    elapsed: float = 0.0
    error: str = ""
    diverged: bool = False
    past: list[tuple[int, dict[str, Value]]] = field(default_factory=list)
    chosen: dict[str, Value] = field(default_factory=dict)

    @property
    def trained_with(self) -> dict[str, Value]:
        """The values that it was given and those that it chose."""
        return self.values | self.chosen

    @property
    def epochs(self) -> int:
        return self.curve[-1][0] if self.curve else 0

    def best(self, goal: Goal) -> dict[str, float]:
        """Its figures where the main objective was best (the weights a run keeps), with those of the whole trial."""
        finite = [figures for _, figures in self.curve if not math.isnan(goal.main.cost(figures))]
        last = self.curve[-1][1] if self.curve else {}
        return (min(finite, key=goal.main.cost) if finite else last) | self.figures

    def costs(self, goal: Goal) -> list[float]:
        return goal.costs(self.best(goal))


class Journal:
    """trials.jsonl: a line when a trial begins and one when it has ended; what is in it is on the disk.

    A line that a kill tore is left out when it is read again.
    """

    def __init__(self, file: Path) -> None:
        self.file = file

    def read(self) -> list[Trial]:
        """Every trial, by number; one that had only begun is still `running`."""
        trials: dict[int, Trial] = {}
        for line in self._lines():
            pairs = {name: [(epoch, of_then) for epoch, of_then in line.get(name, [])] for name in ("curve", "past")}
            trial = Trial(**line | pairs)
            trials[trial.number] = trial
        return [trials[number] for number in sorted(trials)]

    def _lines(self) -> Iterator[dict[str, Any]]:
        if not self.file.exists():
            return
        for line in self.file.read_text().split("\n")[:-1]:
            try:
                yield json.loads(line)
            except json.JSONDecodeError:
                continue

    def write(self, trial: Trial) -> None:
        """Adds a line and waits until it is on the disk."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self.file.open("a+b") as file:
            if file.tell() and not self._ends_whole(file):
                file.write(b"\n")
            file.write(json.dumps(asdict(trial)).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    @staticmethod
    def _ends_whole(file: Any) -> bool:
        file.seek(-1, os.SEEK_END)
        return bool(file.read(1) == b"\n")
