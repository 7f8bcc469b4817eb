"""What a search leaves: trials.csv, params.json and params.yaml, and a page with its figures as PNGs."""

import csv
import io
import json
import math
from collections.abc import Sequence
from typing import Any

from tuning.charts import (
    curves_chart,
    front,
    front_chart,
    history_chart,
    importance_chart,
    parallel_chart,
)
from tuning.records import Trial
from tuning.space import overrides
from tuning.study import Study
from tuning.table import spelt, values_told
from utils.files import as_yaml, write_whole
from utils.loading import loading
from utils.report import Cell, Charts, Column, Facts, Section, Stat, Stats, Table, number_told, write_report

HEADINGS = ("trial", "state", "epochs", "seconds")


def write_results(study: Study) -> None:
    """Writes all files into the search's folder, each whole."""
    write_whole(study.place / "trials.csv", trials_csv(study))
    best = best_told(study)
    write_whole(study.place / "params.json", json.dumps(best, indent=1, allow_nan=False))
    write_whole(study.place / "params.yaml", as_yaml(best))
    write_report(study.place / "report", f"Search {study.place.parent.name}", sections_of(study))


def load_the_page() -> None:
    """Imports what the page of a search needs: a backend does so while its workers load torch."""
    with loading():
        import matplotlib.backends.backend_agg  # noqa: F401
        import sklearn.ensemble  # noqa: F401


def trials_csv(study: Study) -> str:
    """A row a trial: its state, every figure of its best epoch, and every value, empty where it has none."""
    figures = sorted({name for trial in study.trials for name in trial.best(study.goal)} - {"seconds"})
    text = io.StringIO(newline="")
    writer = csv.DictWriter(
        text, [*HEADINGS, *figures, *study.keys, "error", "folder"], lineterminator="\n", restval=""
    )
    writer.writeheader()
    for trial in study.ended:
        found = {name: value for name, value in trial.best(study.goal).items() if name in figures}
        fixed = {
            "trial": trial.number + 1,
            "state": trial.state,
            "epochs": trial.epochs,
            "seconds": round(trial.seconds, 2),
        }
        place = study.folder(trial).relative_to(study.place)
        writer.writerow(fixed | found | trial.trained_with | {"error": trial.error, "folder": str(place)})
    return text.getvalue()


def best_told(study: Study) -> dict[str, Any]:
    """The best trial's values as the overrides that repeat it, and its figures; of several objectives the front.

    constraints: only where no trial keeps them, in words.
    """
    best = study.best()
    assert best is not None
    told = _told(study, best) | ({"constraints": study.unkept} if study.unkept else {})
    if len(study.goal.objectives) > 1:
        told["front"] = [_told(study, trial) for trial in front(study)]
    return told


def _told(study: Study, trial: Trial) -> dict[str, Any]:
    """None for a figure that is no number, which JSON could not say."""
    figures = trial.best(study.goal).items()
    return {
        "trial": trial.number + 1,
        "params": dict(trial.values),
        "overrides": overrides(trial.values),
        **({"chosen": dict(trial.chosen)} if trial.chosen else {}),
        "figures": {name: float(value) if math.isfinite(value) else None for name, value in figures},
    }


def sections_of(study: Study) -> Sequence[Section]:
    """The search in a report: what was found, how, and every trial."""
    several = len(study.goal.objectives) > 1
    charts = [history_chart(study), curves_chart(study), parallel_chart(study), importance_chart(study)]
    charts += [front_chart(study)] if several else []
    shown = tuple(chart for chart in charts if chart is not None)
    return [Section("Search", (_headline(study), Charts(shown), _table(study), _facts(study)), _note(study))]


def _headline(study: Study) -> Stats:
    best = study.best()
    assert best is not None
    figures = best.best(study.goal)
    names = [one.figure for one in study.goal.objectives]
    stats = [Stat(name, number_told(figures[name]) if name in figures else "–", "of the best trial") for name in names]
    epochs = sum(trial.epochs for trial in study.ended)
    full = len(study.ended) * study.problem.epochs
    stats.append(Stat("Trials", str(len(study.ended)), _counted(study)))
    stats.append(Stat("Epochs", f"{epochs:,}", f"of {full:,} without stopping"))
    return Stats(tuple(stats))


def _counted(study: Study) -> str:
    states = [trial.state for trial in study.ended]
    return ", ".join(f"{states.count(state)} {state}" for state in ("complete", "stopped", "failed") if state in states)


def _note(study: Study) -> str:
    best = study.best()
    assert best is not None
    found = f"the best is trial {best.number + 1}: {values_told(best.trained_with)}"
    words = (found, study.unkept, study.problem.unlike, study.left_out, study.unstopped)
    return " ".join(f"{one[0].upper()}{one[1:]}." for one in words if one)


def _table(study: Study) -> Table:
    columns = (
        Column("Trial", "count"),
        Column("State", wraps=any(trial.error for trial in study.ended)),
        Column("Epochs", "count"),
        *(Column(name, "number") for name in study.goal.figures),
        *(Column(key.rpartition(".")[2]) for key in study.keys),
    )
    ranked = study.ranked()
    rest = [trial for trial in study.ended if trial not in ranked]
    return Table(columns, tuple(_cells(study, trial) for trial in ranked + rest))


def _cells(study: Study, trial: Trial) -> tuple[Cell, ...]:
    figures = trial.best(study.goal)
    values = [spelt(trial.trained_with[key]) if key in trial.trained_with else None for key in study.keys]
    told = trial.error.splitlines()[0] if trial.error else trial.state
    return (trial.number + 1, told, trial.epochs, *(figures.get(name) for name in study.goal.figures), *values)


def _facts(study: Study) -> Facts:
    chosen, parameters = study.settings, study.problem.parameters
    told = {
        one.key: f"{one.low:g} … {one.high:g}{' (log)' if one.log else ''}" for one in parameters if not one.choices
    }
    told |= {one.key: ", ".join(one.choices) for one in parameters if one.choices}
    told |= {"searcher": chosen.searcher, "scheduler": chosen.scheduler, "backend": chosen.backend}
    told |= {"constraints": ", ".join(map(str, study.goal.constraints))} if study.goal.constraints else {}
    return Facts("the space and how it was searched", told)
