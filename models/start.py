"""What a command starts from: a new run, an unfinished one that goes on, or one that is trained again to compare."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from models.run import Run, create
from models.runs import differences, find, weights_file
from models.settings import CHOSEN, RunSettings
from utils.files import of_yaml

Config = dict[str, Any]
Override = Callable[[Config], Config]
PLATEAU = "models.schedulers.Plateau"  # whose state is all that it was made with; the others follow their values anew
OF_THE_CLOCK = (("trainer", "stopped_at"), ("schedulers", "realised"))  # what it decided, kept for a rerun
SHARED_RUN = "EVERGREEN_RUN"  # tells the further ranks of a distributed run where the first one keeps it


@dataclass(frozen=True)
class Start:
    """run: where it lies. resume: go on from its last checkpoint. original: the configuration that is reproduced."""

    run: Run
    config: Config
    resume: bool = False
    original: Config | None = None


def start(config: Config, chosen: RunSettings, override: Override) -> Start:
    """The run that the command line asks for.

    config: as composed from the command line. override: lays the command line's values over a stored configuration.
    """
    if is_further_rank():
        return _further_rank(chosen)
    begun = _resumed(chosen, override) or _reproduced(chosen, override) or _new(config, chosen)
    begun.run.lock()
    os.environ[SHARED_RUN] = str(begun.run.folder)
    return begun


def is_further_rank() -> bool:
    """Whether another process of a distributed run leads."""
    return int(os.environ.get("LOCAL_RANK", os.environ.get("RANK", "0"))) > 0


def _new(config: Config, chosen: RunSettings) -> Start:
    if chosen.resume_weights_training:
        weights_file(chosen.resume_weights_training, chosen.logs)
    return Start(create(chosen.logs, chosen.experiment_name, chosen.run_name, chosen.force), config)


def _resumed(chosen: RunSettings, override: Override) -> Start | None:
    if not chosen.resume_full_training:
        return None
    run = find(chosen.resume_full_training, chosen.logs)
    if why := run.why_it_cannot_go_on:
        asked = f"resume_full_training={chosen.resume_full_training}"
        raise ValueError(f"{asked}: {run.folder} {why}; start it again{_from(run)}")
    stored = _to_go_on(run)
    config = _overridden(stored, run, override)
    _refuse_another_name("experiment_name", config["experiment_name"], stored["experiment_name"], run)
    _refuse_without_effect(config, stored, run)
    _refuse_another_name("run_name", chosen.run_name or run.folder.name, run.folder.name, run)
    return Start(run, config, resume=True)


def _from(run: Run) -> str:
    """The weights that a run left, in words."""
    there = any(file.is_file() for file in (run.best, run.last))
    return f", or from its weights with resume_weights_training={run.folder}" if there else ""


def _overridden(stored: Config, run: Run, override: Override) -> Config:
    """With the command line's values, but for what the run has settled on and the line leaves to be chosen."""
    try:
        config = override(stored)
    except ValueError as error:
        raise ValueError(f"{error}; as it is the run goes on with resume_full_training={run.folder} alone") from error
    return _settled(config, stored)


def _settled(config: Config, stored: Config) -> Config:
    for group, key in (*CHOSEN, ("trainer", "speed")):
        if config.get(group, {}).get(key) == "auto":
            config[group][key] = stored[group].get(key)
    return config


def _refuse_without_effect(config: Config, stored: Config, run: Run) -> None:
    """What comes with the checkpoint, whatever the line says: it would be recorded and not be true."""
    groups = [
        "models",
        "optimizers",
        *(["schedulers"] if stored.get("schedulers", {}).get("_target_") == PLATEAU else []),
    ]
    there, here = ({group: given.get(group) for group in groups} | _best_by(given) for given in (stored, config))
    for key, (was, asked) in differences(there, here).items():
        raise ValueError(
            f"{key}={asked}: {run.folder.name} goes on with its checkpoint's, {key}={was}; leave it out, or start anew "
            f"from its weights with resume_weights_training={run.folder}"
        )


def _best_by(config: Config) -> Config:
    """The figure that the best epoch so far is the best by."""
    keeper = config.get("callback", {}).get("checkpoints") or {}
    return {f"callback.checkpoints.{key}": keeper.get(key) for key in ("monitor", "mode")}


def _refuse_another_name(key: str, asked: str, own: str, run: Run) -> None:
    if asked != own:
        raise ValueError(f"{key}={asked}: resume_full_training goes on in {run.folder}; leave {key} out")


def _reproduced(chosen: RunSettings, override: Override) -> Start | None:
    if not chosen.reproduce:
        return None
    original = _stored(chosen)
    config = override(_without_record(original)) | {"run_name": chosen.run_name, "logs": chosen.logs}
    _refuse_time_without_effect(config, original)
    return Start(
        create(chosen.logs, config["experiment_name"], chosen.run_name, chosen.force), config, original=original
    )


def _refuse_time_without_effect(config: Config, original: Config) -> None:
    """A reproduction ends where the clock ended its original, whatever time the line gives."""
    held = [f"{group}.{key}" for group, key in OF_THE_CLOCK if config.get(group, {}).get(key)]
    asked, was = (one.get("trainer", {}).get("max_time") for one in (config, original))
    if held and asked != was:
        raise ValueError(
            f"trainer.max_time={asked}: a reproduction ends where the clock ended its original, which had "
            f"{was}; leave it out, or end by the clock anew with {' '.join(f'{key}=null' for key in held)}"
        )


def _stored(chosen: RunSettings) -> Config:
    """The configuration to reproduce: a run's, or any yaml file that once was one."""
    file = Path(str(chosen.reproduce))
    stored = _in_file(file) if file.is_file() else find(str(chosen.reproduce), chosen.logs).read()
    if not _has(stored, "record", "weights", "final"):
        raise ValueError(
            f"reproduce={chosen.reproduce}: not the configuration of a finished run (no record.weights.final in it)"
        )
    return stored


def _in_file(file: Path) -> Any:
    try:
        return of_yaml(file.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"reproduce={file} cannot be read as yaml: {error}") from error


def _has(node: Any, *keys: str) -> bool:
    """Whether these keys lead on from one to the next."""
    return not keys or (isinstance(node, dict) and keys[0] in node and _has(node[keys[0]], *keys[1:]))


def _further_rank(chosen: RunSettings) -> Start:
    run = Run(Path(os.environ[SHARED_RUN])) if SHARED_RUN in os.environ else _awaited(chosen)
    going_on = bool(chosen.resume_full_training)
    return Start(run, _to_go_on(run) if going_on else _without_record(run.read()), resume=going_on)


def _awaited(chosen: RunSettings, seconds: float = 300.0) -> Run:
    """The folder that rank 0 of a launch from outside (torchrun) makes; all ranks must know its name."""
    if chosen.run_name is None:
        raise ValueError("processes launched from outside share a run by its name: add run_name=NAME")
    run = Run(Path(chosen.logs).absolute() / chosen.experiment_name / chosen.run_name)
    until = time.monotonic() + seconds
    while not run.configuration_file.is_file():
        if time.monotonic() > until:
            raise ValueError(
                f"rank 0 has not made {run.folder} within {seconds:.0f} s: is logs={chosen.logs} on a shared disk?"
            )
        time.sleep(0.2)
    return run


def _to_go_on(run: Run) -> Config:
    """The stored configuration without the step at which the run ended: that is for reruns."""
    stored = _without_record(run.read())
    if stored.get("trainer", {}).get("stopped_at"):
        stored["trainer"]["stopped_at"] = None
    return stored


def _without_record(stored: Config) -> Config:
    return {key: value for key, value in stored.items() if key != "record"}
