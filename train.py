"""Trains a model: python train.py [GROUP=OPTION ...] [KEY=VALUE ...]; --help lists them."""

import shutil
import sys
from typing import TYPE_CHECKING, Any

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from models.settings import RunSettings, TrainerSettings
from models.start import Start, start
from models.tester_settings import TesterSettings
from utils.build import check_own, command, overridden, plain, settings
from utils.log import to_file, to_terminal

if TYPE_CHECKING:
    from models.outcome import Outcome

NOT_STORED = ("resume_full_training", "reproduce", "logs", "experiment_name", "run_name", "force")


@hydra.main(version_base="1.3", config_path="configuration", config_name="configs")
def main(cfg: DictConfig) -> None:
    """One run, from the command line to the closing table."""
    config = checked(plain(cfg))
    begun = start(config, settings(RunSettings, plain_values(config)), override)
    to_terminal()
    to_file(begun.run.folder / "log.txt")
    finish(begun, trained(begun))


def checked(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration, refused by key where it cannot work; torch is not imported for it."""
    settings(RunSettings, plain_values(config))
    settings(TrainerSettings, config["trainer"], "trainer.")
    settings(TesterSettings, config.get("tester", {}), "tester.")
    check_own(config)
    return config


def plain_values(config: dict[str, Any]) -> dict[str, Any]:
    """The values that belong to no group: the run's own."""
    return {
        key: value
        for key, value in config.items()
        if not isinstance(value, dict) and key in RunSettings.__annotations__
    }


def override(stored: dict[str, Any]) -> dict[str, Any]:
    """A stored configuration with the values of this command line."""
    return checked(overridden(stored, list(HydraConfig.get().overrides.task), ignore=NOT_STORED))


def trained(begun: Start) -> "Outcome":
    """The trained model; a signal ends the process with the usual status after the state is saved."""
    from models.checkpoint import Interrupted
    from models.training import train

    try:
        return train(begun.config, begun.run, begun.resume)
    except Interrupted as stop:
        print(f"{stop}; it goes on with: python train.py resume_full_training={begun.run.folder}")
        sys.exit(128 + stop.number)
    except (ValueError, OSError):
        if not begun.run.checkpoints.exists():  # nothing was trained: a mistake leaves no folder behind
            shutil.rmtree(begun.run.folder)
        raise


def finish(begun: Start, outcome: "Outcome") -> None:
    """The closing table; after a reproduction also whether the weights are the same, else status 1."""
    from models.outcome import compare, tell

    tell(outcome)
    if begun.original is not None:
        same, why = compare(begun.original, outcome)
        print(why)
        sys.exit(0 if same else 1)


if __name__ == "__main__":
    command(main)
