"""One run: its folder, its one configuration file, and who is writing it."""

import csv
import fcntl
import json
import secrets
import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import yaml

from utils.files import as_yaml, of_yaml, write_whole

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


def learning_curve(run: Run) -> list[dict[str, str]]:
    """The rows of metrics.csv; empty before the first one."""
    if not run.metrics_file.exists():
        return []
    with run.metrics_file.open(newline="") as file:
        return list(csv.DictReader(file))
