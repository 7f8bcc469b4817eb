"""Checkpoints of a run in progress: whole or not at all, and placed so that a resumed run repeats nothing."""

import logging
import math
import os
import signal
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Literal

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.io.torch_io import TorchCheckpointIO
from pytorch_lightning.callbacks import Checkpoint

from models.direction import Mode, direction
from models.figures import LOSS
from models.interruption import Interrupted

if TYPE_CHECKING:
    from models.task import ImageTask

log = logging.getLogger(__name__)


class WholeFiles(TorchCheckpointIO):
    """Writes beside the target, syncs, then renames: a reader, or a kill, sees the old file or the new one."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(target.name + ".part")
        try:
            with part.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            part.replace(target)
        except BaseException:
            part.unlink(missing_ok=True)
            raise


class Checkpoints(Checkpoint):
    """Keeps `best.ckpt`, `last.ckpt` and milestones; stops cleanly on SIGTERM and SIGINT.

    monitor: the logged figure that says which is best. mode: of it; auto goes by its name.
    keep: whose weights become the model's: auto: of a loss and a completed schedule the last ones, unless the best are
    certainly better (models/keeping.py), else the best. Runs of an earlier version, which do not say, had the best.
    every_n_steps: saves last.ckpt also between validations (never on an epoch's last batch: a resume there would skip
    that epoch's validation). milestones: epochs (counted from 1) kept as epoch-N.ckpt.
    save_last_model: keep last.ckpt (without it an interrupted run cannot go on).
    save_weights_only: smaller files that hold no optimizer state and cannot be resumed.
    """

    def __init__(
        self,
        folder: str,
        monitor: str = LOSS,
        mode: Mode = "auto",
        keep: Literal["auto", "best", "last"] = "best",
        every_n_steps: int | None = None,
        milestones: list[int] | None = None,
        save_last_model: bool = True,
        save_weights_only: bool = False,
    ) -> None:
        self.folder, self.monitor, self.keep = Path(folder), monitor, keep
        self.sign = 1 if direction(monitor, mode) == "max" else -1
        self.every_n_steps, self.milestones = every_n_steps, milestones or []
        self.save_last_model, self.save_weights_only = save_last_model, save_weights_only
        self.best: float | None = None
        self.best_epoch: int | None = None
        self.highest_rate = 0.0  # at any validation
        self.received: int | None = None
        self._validated_epoch = -1
        self._former: dict[int, Any] = {}

    def setup(self, trainer: pl.Trainer, pl_module: "ImageTask", stage: str) -> None:  # type: ignore[override]
        pl_module.require(self.monitor, "callback.checkpoints.monitor")

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            self._former[number] = signal.signal(number, self._receive)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        while self._former:
            signal.signal(*self._former.popitem())

    def _receive(self, number: int, frame: FrameType | None) -> None:
        log.info("received %s: saving after this step (again: stop at once)", signal.Signals(number).name)
        self.received = number
        signal.signal(number, signal.SIG_DFL)

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        if trainer.fit_loop.epoch_loop._num_ready_batches_reached():
            return  # the epoch's validation follows and saves
        if self._asked_to_stop(trainer):
            self._stop(trainer)
        accumulating = trainer.fit_loop.epoch_loop._should_accumulate()
        if self.every_n_steps and not accumulating and trainer.global_step % self.every_n_steps == 0:
            self._save_last(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        at_end = trainer.fit_loop.epoch_loop._num_ready_batches_reached() or trainer.should_stop
        if trainer.sanity_checking or not at_end:
            return
        self._validated_epoch = trainer.current_epoch
        self.highest_rate = max(self.highest_rate, rate(trainer))
        self._keep_best(trainer)
        self._end_of_epoch(trainer, trainer.current_epoch)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._validated_epoch != trainer.current_epoch:
            self._end_of_epoch(trainer, trainer.current_epoch)

    def _end_of_epoch(self, trainer: pl.Trainer, epoch: int) -> None:
        if epoch + 1 in self.milestones:
            self._save(trainer, f"epoch-{epoch + 1}.ckpt")
        if self._asked_to_stop(trainer):
            self._stop(trainer)
        self._save_last(trainer)

    def _keep_best(self, trainer: pl.Trainer) -> None:
        value = float(trainer.callback_metrics[self.monitor])
        if not math.isnan(value) and (self.best is None or self.sign * value > self.sign * self.best):
            self.best, self.best_epoch = value, trainer.current_epoch + 1
            self._save(trainer, "best.ckpt")

    def _asked_to_stop(self, trainer: pl.Trainer) -> bool:
        """On any rank: all of them save together."""
        received = self.received is not None
        return trainer.strategy.reduce_boolean_decision(received, all=False) if trainer.world_size > 1 else received

    def _stop(self, trainer: pl.Trainer) -> None:
        self._save_last(trainer)
        raise Interrupted(self.received or signal.SIGTERM, trainer.global_step)

    def _save_last(self, trainer: pl.Trainer) -> None:
        if self.save_last_model:
            self._save(trainer, "last.ckpt")

    def _save(self, trainer: pl.Trainer, name: str) -> None:
        if all(parameter.isfinite().all() for parameter in trainer.lightning_module.parameters()):
            trainer.save_checkpoint(self.folder / name, weights_only=self.save_weights_only)
        else:
            log.warning("%s is not written: the weights are not finite after step %d", name, trainer.global_step)

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "best_epoch": self.best_epoch, "highest_rate": self.highest_rate}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best, self.best_epoch = state_dict["best"], state_dict["best_epoch"]
        self.highest_rate = state_dict.get("highest_rate", 0.0)  # an earlier version's has none


def rate(trainer: pl.Trainer) -> float:
    """The learning rate now, of the first group: all follow one schedule."""
    return float(trainer.optimizers[0].param_groups[0]["lr"])
