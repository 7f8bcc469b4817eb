"""Where a search lies in its run's folder, and how the same command finds one that was interrupted; torch-free."""

import json
import os
import signal
from pathlib import Path

from models.interruption import Interrupted
from models.run import Run
from models.start import SHARED_RUN, Start
from tuning.problem import Problem
from utils.files import write_whole
from utils.words import many

FOLDER = "tune"
MARK = "search.json"  # says which search a folder belongs to


class SearchInterrupted(Interrupted):
    """A search was asked to stop by a signal; its journal is on the disk."""

    def __init__(self, number: int, trials: int) -> None:
        Exception.__init__(self, f"stopped by {signal.Signals(number).name} after {many(trials, 'trial')}")
        self.number = number


def place(run: Run) -> Path:
    """Where everything of a run's search lies."""
    return run.folder / FOLDER


def trials_of(run: Run) -> Path:
    """The journal of a run's search."""
    return place(run) / "trials.jsonl"


def mark(problem: Problem, run: Run, done: bool) -> None:
    """Leaves word of what is searched here, and whether that has come to its end."""
    write_whole(place(run) / MARK, json.dumps({"digest": problem.digest, "done": done}))


def interrupted(problem: Problem) -> Start | None:
    """The newest run of the same search that did not come to its end, locked, to go on with; None where none is."""
    if problem.config["force"]:
        return None
    logs = Path(problem.config["logs"]).absolute() / str(problem.config["experiment_name"])
    for file in sorted(logs.glob(f"*/{FOLDER}/{MARK}"), key=lambda file: file.stat().st_mtime, reverse=True):
        run, said = Run(file.parent.parent), json.loads(file.read_text())
        named = problem.config["run_name"] in (None, run.folder.name)
        over = run.finished or said["done"] or run.in_use
        if named and said["digest"] == problem.digest and not over:
            run.lock()
            os.environ[SHARED_RUN] = str(run.folder)
            return Start(run, problem.config)
    return None
