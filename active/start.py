"""Whether a command line goes on with a loop that was interrupted; torch-free."""

from pathlib import Path
from typing import Any

from active.settings import ActiveSettings, split
from models.run import Run
from models.start import Start
from utils.build import settings
from utils.configuration import digest
from utils.journal import Journal
from utils.overrides import options
from utils.signature import nearest

Config = dict[str, Any]
JOURNAL = "journal.sqlite"
OF_A_START = ("logs", "experiment_name", "run_name", "force", "resume_full_training", "reproduce")


def check(config: Config) -> None:
    """Refuses by key what the loop cannot do."""
    if not config.get("active"):
        return
    values, nodes = split(config["active"])
    chosen = settings(ActiveSettings, values, "active.")
    for node in (nodes.retrain, nodes.selection, nodes.state, *nodes.stopping.values()):
        if isinstance(node, dict) and "_target_" not in node:
            raise ValueError(f"active: {node} names no _target_")
    if config["trainer"]["devices"] not in (1, "1", "auto") or config["trainer"]["num_nodes"] != 1:
        raise ValueError("active learning trains its rounds on one device: leave trainer.devices=1")
    if config["resume_full_training"]:
        raise ValueError("active learning goes on by the same command: leave resume_full_training out")
    for name in chosen.compare:
        if name not in options("active/strategy"):
            near = nearest(name, options("active/strategy"))
            raise ValueError(f"active.compare: there is no active/strategy={name}; {near}")
    if not chosen.compare and chosen.seeds > 1 and not chosen.reference:
        raise ValueError(f"active.seeds={chosen.seeds} repeats a comparison: name active.compare=[…] or set reference")


def journal_of(run: Run) -> Path:
    """The journal of a run's loop."""
    return run.folder / JOURNAL


def identity(config: Config) -> str:
    """The same for command lines that ask for the same."""
    return digest({key: value for key, value in config.items() if key not in (*OF_A_START, "record")})


def unfinished(config: Config) -> Start | None:
    """The newest loop below logs/<experiment_name> that was begun by the same configuration and has not ended."""
    if not config.get("active") or config["reproduce"] or config["force"]:
        return None
    wanted, logs = identity(config), Path(config["logs"]).absolute() / config["experiment_name"]
    folders = sorted((file.parent for file in logs.glob(f"*/{JOURNAL}")), key=_begun, reverse=True)
    for folder in folders:
        if config["run_name"] in (None, folder.name) and not Run(folder).finished and _identity(folder) == wanted:
            if Run(folder).in_use:
                raise ValueError(f"{folder} is being continued by another process: wait for it, or add run_name=NAME")
            run = Run(folder)
            run.lock()
            return Start(run, config)
    return None


def _identity(folder: Path) -> str:
    journal = Journal(folder / JOURNAL)
    try:
        return str((journal.find("run", "begun") or {}).get("identity"))
    finally:
        journal.close()


def _begun(folder: Path) -> float:
    return (folder / JOURNAL).stat().st_ctime
