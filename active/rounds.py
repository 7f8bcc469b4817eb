"""One round's training: the run's own, but short, quiet and without a page."""

import copy
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from active.retrain import Beginning, Retrain, Weights
from active.settings import ActiveSettings
from datamodule.pool import PoolData
from models.run import Run
from models.training import Parts, make_task, train

log = logging.getLogger(__name__)
Config = dict[str, Any]

RESUMED_FROM = 2000  # steps; a shorter training is made again rather than resumed, and keeps no state on the disk


@dataclass(frozen=True)
class Trainings:
    """How every round of every strategy is trained."""

    config: Config
    settings: ActiveSettings
    retrain: Retrain
    first: str | None = None  # file of the weights that the first round starts from

    def train(self, folder: Path, data: PoolData, last: Path | None, seed: int, speed: Config) -> Run:
        """A finished run in `folder`; one that was finished before is left as it is.

        last: the former round's weights. speed: trainer keys that were measured before.
        """
        run = Run(folder)
        if run.finished:
            return run
        folder.mkdir(parents=True, exist_ok=True)
        config = self.of_round(data, seed, speed)
        at = Beginning(
            data.sizes["train"],
            Path(self.first) if self.first else None,
            last,
            lambda: self._fresh(config, data),
            folder,
        )
        start = self.retrain.start(at)
        config["resume_weights_training"] = None if start is None else str(start)
        train(config, run, run.can_go_on, Parts(data=data, sections=None))
        return run

    def of_round(self, data: PoolData, seed: int, speed: Config) -> Config:
        """The configuration of one round, plain as of a run of its own."""
        config = copy.deepcopy(self.config) | {"active": None, "seed": seed, "logger": {}}
        config["datamodule"]["seed"] = seed
        config["trainer"] |= speed | {"progress": False}
        per_epoch = max(data.steps_per_epoch(), 1)
        epochs = max(int(config["trainer"]["max_epochs"]), -(-self.settings.min_steps // per_epoch))
        every = -(-epochs // self.settings.validations)
        config["trainer"] |= {"max_epochs": epochs, "check_val_every_n_epoch": every}
        keeper = config["callback"]["checkpoints"]
        keeper["save_last_model"] = epochs * per_epoch >= RESUMED_FROM
        return config

    @staticmethod
    def _fresh(config: Config, data: PoolData) -> Weights:
        state: dict[str, torch.Tensor] = make_task(config, data).net.state_dict()
        return state


@contextmanager
def quiet() -> Iterator[None]:
    """Without the lines that each training and each look says of its loaders and stores."""
    loud = [logging.getLogger(name) for name in ("datamodule", "models")]
    before = [logger.level for logger in loud]
    for logger in loud:
        logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        for logger, level in zip(loud, before, strict=True):
            logger.setLevel(level)
