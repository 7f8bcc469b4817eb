"""Runs by their names, and `python -m models.runs` to list, compare and prune them."""

import argparse
import logging
import re
import shutil
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.table import Table

from models.run import Run
from utils.log import console
from utils.words import many

log = logging.getLogger(__name__)

COLUMNS = ("run", "state", "model", "data", "optimizer", "val", "test", "minutes")  # of the listing


def every(logs: str = "logs") -> list[Run]:
    """All runs below a logs folder, the newest first."""
    files = Path(logs).absolute().glob("*/*/full_configurations.yaml")
    return [Run(file.parent) for file in sorted(files, key=lambda file: _started(file.parent), reverse=True)]


def before_training(logs: str = "logs") -> list[Run]:
    """Run folders without a configuration yet: of a search or a loop, or of a process that was killed as it began."""
    folders = sorted(file.parent for file in Path(logs).absolute().glob("*/*/log.txt"))
    return [run for run in map(Run, folders) if not run.configuration_file.is_file()]


def _started(folder: Path) -> str:
    """As its configuration says; of a search or a loop without one when it last said something."""
    file = folder / "full_configurations.yaml"
    if not file.is_file():
        return datetime.fromtimestamp((folder / "log.txt").stat().st_mtime).isoformat()
    text = file.read_text(errors="replace")
    found = re.search(r"^  started: '?([^'\n]+)", text, re.MULTILINE)
    return found[1] if found else ""


def find(name: str | bool, logs: str = "logs") -> Run:
    """The run that a path, a run's configuration file or a name means, as the listing has it (experiment/run) or bare.

    `latest`: the newest with a model. True: the newest without one that can go on.
    """
    if name is True:
        return _newest_that_can_go_on(logs)
    if name == "latest":
        if (found := next((run for run in every(logs) if run.finished), None)) is None:
            raise ValueError(f"there is no finished run below {Path(logs).absolute()}: name a run folder")
        return found
    path = Path(str(name)).absolute()
    listed = Path(logs).absolute() / str(name)
    for folder in (path, path.parent, listed):
        if (folder / "full_configurations.yaml").is_file():
            return Run(folder)
    return _only([run for run in every(logs) if run.folder.name == name], str(name), logs)


def _newest_that_can_go_on(logs: str) -> Run:
    """Says which newer ones are passed over, and why. Raises ValueError where there is none."""
    passed_over: list[str] = []
    for run in every(logs):
        if run.finished:
            continue
        why = "is being trained by another process" if run.in_use else run.why_it_cannot_go_on
        if not why:
            if passed_over:
                log.warning(
                    "resume_full_training goes on with %s; passed over: %s", run.listed_as, "; ".join(passed_over)
                )
            return run
        passed_over.append(f"{run.listed_as} {why}")
    told = "; ".join([f"there is no unfinished run below {Path(logs).absolute()} that can go on", *passed_over])
    raise ValueError(f"{told}: name a run folder, or start a new run")


def _only(runs: list[Run], name: str, logs: str) -> Run:
    """The one of this name. Raises ValueError where there is none, or one in several experiments."""
    if len(runs) > 1:
        raise ValueError(f"{name} may be {' or '.join(run.listed_as for run in runs)}: name one of them so")
    if not runs:
        known = ", ".join(run.listed_as for run in every(logs)[:5]) or "none"
        raise ValueError(
            f"{name} is no run folder (no full_configurations.yaml in it{_before_training(name, logs)}); "
            f"the newest below {logs}: {known}"
        )
    return runs[0]


def _before_training(name: str, logs: str) -> str:
    """What a folder may be that a run made and in which no training has begun."""
    wanted = Path(name).absolute()
    there = wanted.is_dir() or any(folder.name == wanted.name for folder in Path(logs).absolute().glob("*/*"))
    return ": no training has begun there; a search that was stopped goes on by its own command" if there else ""


def weights_file(source: str, logs: str) -> Path:
    """Of resume_weights_training; of a run without a model its best checkpoint, or its last.

    Raises ValueError where there is none.
    """
    if source.endswith((".safetensors", ".ckpt")):
        places = [Path(source)]
    else:
        run = find(source, logs)
        places = [run.model_file, run.best, run.last]
    for file in places:
        if file.is_file():
            return file
    raise ValueError(
        f"resume_weights_training={source}: there is no {places[0]}; name a run that has a model or a checkpoint, or "
        "a .safetensors or .ckpt file"
    )


def key_figures(run: Run) -> dict[str, str]:
    """What a listing shows of a run."""
    configuration, metrics = run.read(), run.manifest().get("metrics", {})
    record, optimizer = configuration.get("record", {}), configuration["optimizers"]
    return {
        "run": run.listed_as,
        "state": "finished" if run.finished else "unfinished",
        "model": str(configuration["models"].get("architecture", configuration["models"]["_target_"].split(".")[-1])),
        "data": str(record.get("data", {}).get("digest", ""))[:8],
        "optimizer": str(optimizer.get("name") or optimizer.get("_target_", "").split(".")[-1].removeprefix("build_")),
        "val": _leading(metrics, "val/"),
        "test": _leading(metrics, "test/"),
        "minutes": f"{record['seconds'] / 60:.1f}" if "seconds" in record else "",
    }


def _leading(metrics: dict[str, float | None], split: str) -> str:
    """The figure that the task names first; the others are `compare`'s, since a line has no room for them."""
    found = next((name for name in metrics if name.startswith(split)), None)
    value = metrics[found] if found else None
    return "" if found is None or value is None else f"{found.removeprefix(split)} {value:.4f}"


def differences(first: dict[str, Any], second: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Dotted keys whose values differ, with both values."""
    a, b = flat(first), flat(second)
    return {key: (a.get(key), b.get(key)) for key in sorted(a.keys() | b.keys()) if a.get(key) != b.get(key)}


def flat(node: Any, prefix: str = "") -> dict[str, Any]:
    """A nested dict with dotted keys."""
    if not isinstance(node, dict) or not node:
        return {prefix.rstrip("."): node}
    return {key: value for name, child in node.items() for key, value in flat(child, f"{prefix}{name}.").items()}


def prunable(logs: str, keep: int, unfinished: bool) -> list[Run]:
    """The runs of each experiment beyond its `keep` newest, of them what nobody writes, and all that never began.

    A search or a loop that was stopped before its training is a run, too. unfinished: without a model.
    """
    if keep < 0:
        raise ValueError(f"--keep {keep}: use 0 or more")
    early = before_training(logs)
    chosen = [run for run in early if run.never_began]
    begun = every(logs) + [run for run in early if run not in chosen]
    for experiment in sorted({run.folder.parent for run in begun}):
        runs = [run for run in begun if run.folder.parent == experiment]
        runs.sort(key=lambda run: _started(run.folder), reverse=True)
        chosen += [run for run in runs[keep:] if not run.in_use and not (unfinished and run.finished)]
    return chosen


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser("python -m models.runs", description="Lists, compares and prunes runs.")
    parser.add_argument("--logs", default="logs", help="the folder of the runs (default: logs)")
    actions = parser.add_subparsers(dest="action")
    actions.add_parser("list", help="every run with its key figures (the default)")
    compare = actions.add_parser("compare", help="configurations and metrics of two runs, where they differ")
    compare.add_argument("first")
    compare.add_argument("second")
    prune = actions.add_parser(
        "prune", help="deletes old runs of each experiment, stopped searches too, and what never began"
    )
    prune.add_argument("--keep", type=int, default=10, help="how many of the newest stay (default: 10)")
    prune.add_argument("--unfinished", action="store_true", help="delete only runs that left no model")
    prune.add_argument("--yes", action="store_true", help="delete; without it the list is only shown")
    chosen = parser.parse_args(arguments)
    try:
        _act(chosen)
    except ValueError as error:
        sys.exit(f"error: {error}")


def _act(chosen: argparse.Namespace) -> None:
    out = console()
    if chosen.action == "compare":
        out.print(comparison(find(chosen.first, chosen.logs), find(chosen.second, chosen.logs)))
    elif chosen.action == "prune":
        _prune(prunable(chosen.logs, chosen.keep, chosen.unfinished), chosen.yes)
    elif runs := every(chosen.logs) + before_training(chosen.logs):
        out.print(listing(runs))
    else:
        print(f"no run lies below {Path(chosen.logs).absolute()}")


def listing(runs: list[Run]) -> Table:
    """A table of key figures, a row a run; of one without a configuration, or with damaged files, the state alone."""
    table = _unabridged(*COLUMNS, title=many(len(runs), "run"))
    for run in runs:
        row = {"run": run.listed_as} | _row(run)
        table.add_row(*(row.get(column, "") for column in COLUMNS))
    return table


def _row(run: Run) -> dict[str, str]:
    if not run.configuration_file.is_file():
        return {"state": "never began" if run.never_began else "no training yet"}
    try:
        return key_figures(run)
    except (ValueError, KeyError):
        return {"state": "damaged"}


def comparison(first: Run, second: Run) -> Table:
    """A table of the keys, facts and metrics in which two runs differ."""
    table = _unabridged("key", first.listed_as, second.listed_as, title="where the two runs differ")
    both = [run.read() | {"metrics": run.manifest().get("metrics", {})} for run in (first, second)]
    for key, values in differences(*both).items():
        table.add_row(key, *("" if value is None else str(value) for value in values))
    return table


def _unabridged(*headings: str, title: str) -> Table:
    """Names and paths go on in the next line where a column is too narrow: cut off, they could not be told apart."""
    table = Table(title=title)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table


def _prune(runs: list[Run], really: bool) -> None:
    for run in runs:
        what = "" if run.finished or run.never_began else " (without a model)"
        print(f"{'deleted' if really else 'would delete'} {run.folder}{what}")
        if really:
            shutil.rmtree(run.folder)
    print(many(len(runs), "run") + ("" if really or not runs else "; add --yes to delete them"))


if __name__ == "__main__":
    main()
