"""Run folders: where a run lies, its one configuration file, and `python -m models.runs` to list, compare and prune."""

import argparse
import csv
import fcntl
import json
import logging
import re
import secrets
import shutil
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import yaml
from rich.table import Table

from utils.files import as_yaml, of_yaml, write_whole
from utils.log import console
from utils.words import many

log = logging.getLogger(__name__)

COLUMNS = ("run", "state", "model", "data", "optimizer", "val", "test", "minutes")  # of the listing
_HELD: dict[Path, IO[str]] = {}  # open for as long as the process lives, since closing a file gives its lock back


@dataclass(frozen=True)
class Run:
    """One run folder and the names of what lies in it."""

    folder: Path

    @property
    def listed_as(self) -> str:
        """experiment/run, which no other run below the same logs is called."""
        return f"{self.folder.parent.name}/{self.folder.name}"

    @property
    def configuration_file(self) -> Path:
        return self.folder / "full_configurations.yaml"

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    @property
    def last(self) -> Path:
        return self.checkpoints / "last.ckpt"

    @property
    def why_it_cannot_go_on(self) -> str:
        """In words; "" where its last checkpoint holds every state."""
        if not self.last.is_file():
            return "has no checkpoints/last.ckpt (it stopped before its first one, or callback.save_last_model was off)"
        try:
            stored = self.read()
        except ValueError:
            return "has a damaged full_configurations.yaml"
        if stored.get("callback", {}).get("checkpoints", {}).get("save_weights_only"):
            return "has the weights alone in its checkpoints (callback.save_weights_only=true)"
        return ""

    @property
    def can_go_on(self) -> bool:
        """Whether its training was begun, and its last checkpoint holds every state."""
        return self.configuration_file.is_file() and not self.why_it_cannot_go_on

    @property
    def best(self) -> Path:
        return self.checkpoints / "best.ckpt"

    @property
    def model_file(self) -> Path:
        return self.folder / "model.safetensors"

    @property
    def manifest_file(self) -> Path:
        return self.folder / "model.json"

    @property
    def metrics_file(self) -> Path:
        return self.folder / "metrics.csv"

    @property
    def report(self) -> Path:
        return self.folder / "report"

    @property
    def finished(self) -> bool:
        return self.manifest_file.is_file()

    def read(self) -> dict[str, Any]:
        """The whole configuration file, with its `record` of measured facts. Raises ValueError for a damaged one."""
        try:
            stored = of_yaml(self.configuration_file.read_text())
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise ValueError(f"{self.configuration_file} is damaged: {error}") from error
        if not isinstance(stored, dict):
            raise ValueError(f"{self.configuration_file} is damaged: no configuration is in it")
        return stored

    def write(self, configuration: dict[str, Any]) -> None:
        write_whole(self.configuration_file, as_yaml(configuration))

    def lock(self) -> None:
        """Holds the folder for this process until it ends; a run that another one is writing is refused."""
        file = (self.folder / "log.txt").open("a")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.close()
            raise ValueError(f"{self.folder} is being trained by another process: wait for it or stop it") from error
        _HELD[self.folder] = file

    @property
    def in_use(self) -> bool:
        """Whether a process is writing this run."""
        with (self.folder / "log.txt").open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    @property
    def never_began(self) -> bool:
        """Whether its process was killed before it had made anything: the log is all that is there."""
        return list(self.folder.glob("*")) == [self.folder / "log.txt"] and not self.in_use

    @property
    def former(self) -> Path:
        """Where the run of this name waits that force=True replaces, until the new one has begun."""
        return self.folder.parent / ".former" / self.folder.name

    def set_aside(self) -> None:
        """Makes room for a new run of this name."""
        if self.in_use:
            raise ValueError(f"force=True: {self.folder} is written by another process: wait for it or stop it")
        self.drop_former()
        self.former.parent.mkdir(exist_ok=True)
        self.folder.rename(self.former)

    def drop_former(self) -> None:
        """The new run has begun."""
        shutil.rmtree(self.former, ignore_errors=True)
        if self.former.parent.exists() and not any(self.former.parent.iterdir()):
            self.former.parent.rmdir()

    def give_way(self) -> None:
        """Nothing was begun in this folder: it goes, and the former run, if there was one, is back."""
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.former.exists():
            self.former.rename(self.folder)
            self.drop_former()

    def manifest(self) -> dict[str, Any]:
        """Of its model, {} before it has one. Raises ValueError for a damaged one."""
        try:
            return dict(json.loads(self.manifest_file.read_text())) if self.finished else {}
        except ValueError as error:
            raise ValueError(f"{self.manifest_file} is damaged: {error}") from error


def create(logs: str, experiment_name: str, run_name: str | None, force: bool) -> Run:
    """A new, empty run folder; an existing name is refused unless nothing began there, or force sets that run aside.

    `drop_former` or `give_way` is to follow.
    """
    name = run_name or f"{datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    folder = Path(logs).absolute() / experiment_name / name
    if Run(folder).never_began:
        shutil.rmtree(folder)
    elif force and folder.exists():
        Run(folder).set_aside()
    try:
        folder.mkdir(parents=True)
    except FileExistsError as error:
        raise ValueError(f"run_name={name}: {folder} exists; choose another name, or replace it: force=True") from error
    except OSError as error:
        raise ValueError(
            f"logs={logs}: cannot make the run folder {folder} ({error.strerror}); name another place"
        ) from error
    return Run(folder)


def every(logs: str = "logs") -> list[Run]:
    """All runs below a logs folder, the newest first."""
    files = Path(logs).absolute().glob("*/*/full_configurations.yaml")
    return [Run(file.parent) for file in sorted(files, key=lambda file: _started(file.parent), reverse=True)]


def before_training(logs: str = "logs") -> list[Run]:
    """Run folders without a configuration yet: of a search or a loop, or of a process that was killed as it began."""
    folders = sorted(file.parent for file in Path(logs).absolute().glob("*/*/log.txt"))
    return [run for run in map(Run, folders) if not run.configuration_file.is_file()]


def _started(folder: Path) -> str:
    text = (folder / "full_configurations.yaml").read_text(errors="replace")
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


def learning_curve(run: Run) -> list[dict[str, str]]:
    """The rows of metrics.csv; empty before the first one."""
    if not run.metrics_file.exists():
        return []
    with run.metrics_file.open(newline="") as file:
        return list(csv.DictReader(file))


def prunable(logs: str, keep: int, unfinished: bool) -> list[Run]:
    """The runs of each experiment beyond its `keep` newest, of them what nobody writes, and all that never began.

    unfinished: without a model.
    """
    if keep < 0:
        raise ValueError(f"--keep {keep}: use 0 or more")
    chosen = [run for run in before_training(logs) if run.never_began]
    for experiment in sorted({run.folder.parent for run in every(logs)}):
        runs = [run for run in every(logs) if run.folder.parent == experiment]
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
    prune = actions.add_parser("prune", help="deletes old runs of each experiment, and what never began")
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
        print(f"{'deleted' if really else 'would delete'} {run.folder}")
        if really:
            shutil.rmtree(run.folder)
    print(many(len(runs), "run") + ("" if really or not runs else "; add --yes to delete them"))


if __name__ == "__main__":
    main()
