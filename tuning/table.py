"""The search on the terminal: a table that is drawn anew as trials go on; where there is none, a line for each end."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.live import Live
from rich.table import Table

from tuning.records import Trial
from tuning.space import Value
from utils.log import console
from utils.words import many

if TYPE_CHECKING:
    from tuning.study import Study

MOST_ROWS = 12
REDRAWN_S = 0.25


class Watch:
    """Called with the study at each change."""

    def __init__(self) -> None:
        self.console = console(sys.stdout)  # trials of this process have another one
        self.live = Live(console=self.console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)
        self.drawn = 0.0
        self.told: set[int] | None = None

    def __call__(self, study: "Study") -> None:
        if not self.console.is_terminal:
            self._tell_ends(study)
        elif time.monotonic() - self.drawn > REDRAWN_S:
            self.drawn = time.monotonic()
            self.live.update(table(study), refresh=True)

    def _tell_ends(self, study: "Study") -> None:
        if self.told is None:  # a former process told of these
            self.told = {trial.number for trial in study.ended}
        for trial in study.ended:
            if trial.number not in self.told:
                self.told.add(trial.number)
                self.console.print(line(study, trial), soft_wrap=True)


@contextmanager
def shown() -> Iterator[Watch]:
    """Draws on a terminal for as long as the search lasts."""
    watch = Watch()
    if not watch.console.is_terminal:
        yield watch
        return
    with watch.live:
        yield watch
        watch.live.transient = True  # the whole one is printed in its place; that of an interrupted search stays


def table(study: "Study", most: int = MOST_ROWS) -> Table:
    """What runs, then the best so far."""
    running = [trial for trial in study.trials if trial.state == "running"]
    failed = sum(trial.state == "failed" for trial in study.trials)
    told = f"{len(study.ended)} of {many(study.wanted, 'trial')}" + (f", {failed} failed" if failed else "")
    found = Table("trial", "state", "epoch", *study.goal.figures, "values", title=told)
    for trial in running + study.ranked()[: max(0, most - len(running))]:
        found.add_row(*row(study, trial), style="bold" if trial is study.best() else None)
    return found


def line(study: "Study", trial: Trial) -> str:
    """The row of a trial where no headings stand above it."""
    number, state, epochs, *shown, words = row(study, trial)
    figures = [f"{name} {told}" for name, told in zip(study.goal.figures, shown, strict=True)]
    return "  ".join([f"trial {number}", state, f"epoch {epochs}", *figures, words])


def row(study: "Study", trial: Trial) -> list[str]:
    """A trial in words: number, state, epochs, figures that are asked for, values or its error."""
    figures = trial.best(study.goal)
    shown = [_figure(name, figures[name]) if name in figures else "–" for name in study.goal.figures]
    words = trial.error.splitlines()[0] if trial.error else values_told(trial.trained_with)
    return [f"{trial.number + 1:>3}", f"{trial.state:8}", f"{trial.epochs:>3}/{study.problem.epochs}", *shown, words]


def _figure(name: str, value: float) -> str:
    """In four places, as losses need them; a count and what is large have none."""
    return f"{value:,.0f}" if name == "parameters" or abs(value) >= 1000 else f"{value:.4f}"


def values_told(values: dict[str, Value]) -> str:
    """In one line; keys by their last part where that is clear."""
    short = {key: key.rpartition(".")[2] for key in values}
    clear = {key: name if list(short.values()).count(name) == 1 else key for key, name in short.items()}
    return ", ".join(f"{clear[key]} {spelt(value)}" for key, value in values.items())


def spelt(value: Value) -> str:
    """A number in four digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
