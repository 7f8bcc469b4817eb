"""What watches a training loop: averaged weights, early stopping, limits, a guard against NaN, progress."""

import logging
import math
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, EarlyStopping, WeightAveraging
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from models.checkpoint import rate
from models.direction import Mode, direction
from models.figures import LOSS
from utils.log import console
from utils.words import images_a_second

if TYPE_CHECKING:
    from datamodule.data import ImageData
    from models.outcome import Outcome
    from models.task import ImageTask

log = logging.getLogger(__name__)
Kind = TypeVar("Kind", bound=Callback)


def the(kind: type[Kind], trainer: pl.Trainer) -> Kind:
    """The trainer's callback of this kind."""
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    return next(callback for callback in callbacks if isinstance(callback, kind))


class Concluding(Callback):
    """A callback that is told when the model file lies in the run folder; on the first rank alone."""

    def concluded(self, outcome: "Outcome", task: "ImageTask", data: "ImageData") -> None:
        """task: with the kept weights. data: as the training saw it."""
        raise NotImplementedError


class ExponentialAverage(WeightAveraging):
    """Exponential moving average of weights and BatchNorm buffers; it is what is validated and kept.

    decay: share of the old average at each update, reached gradually: min(decay, (1 + n) / (10 + n)) at update n.
    """

    def __init__(self, decay: float = 0.999, every_n_steps: int = 1) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"callback.ema.decay={decay}: use a number from 0 to below 1")
        super().__init__(multi_avg_fn=self._average)
        self.decay, self.every_n_steps = decay, every_n_steps

    def _average(self, averaged: list[Tensor], current: list[Tensor], count: Tensor | int) -> None:
        updates = int(count)
        decay = min(self.decay, (1 + updates) / (10 + updates))
        get_ema_multi_avg_fn(decay)(averaged, current, count)

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        return step_idx is not None and (step_idx + 1) % self.every_n_steps == 0


class StopEarly(EarlyStopping):
    """Ends training when the stopping metric has not improved for `patience` validations; survives a resume."""

    def __init__(
        self, stopping_metric: str = LOSS, patience: int = 5, mode: Mode = "auto", min_delta: float = 0.0
    ) -> None:
        mode = direction(stopping_metric, mode)
        # judged with the validation, before a checkpoint is written, so that its count is in it
        super().__init__(
            stopping_metric, min_delta, patience, mode=mode, check_finite=False, check_on_train_epoch_end=False
        )

    def setup(self, trainer: pl.Trainer, pl_module: "ImageTask", stage: str) -> None:  # type: ignore[override]
        trainer.datamodule.require_validation("callback=early_stopping")  # type: ignore[attr-defined]
        pl_module.require(self.monitor, "callback.stopping_metric")
        super().setup(trainer, pl_module, stage)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict | {"patience": self.patience})  # as asked for now

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.wait_count >= self.patience:  # it had stopped when the checkpoint was written
            trainer.should_stop = True


class Budget(Callback):
    """Ends training when steps or time are used up or the schedule's decay is complete.

    stopped_at: the step at which the clock ended the training that is repeated; asked in place of max_time.
    However it ends, its last epoch is validated, so that the weights which all of the training led to can be the best.
    """

    def __init__(self, max_steps: int, max_time: timedelta | None, stopped_at: int | None) -> None:
        self.max_steps, self.max_time, self.stopped_at = max_steps, max_time, stopped_at
        self.seconds_before, self.started = 0.0, math.nan

    @property
    def seconds(self) -> float:
        """Training time so far, over all parts of a resumed run."""
        return self.seconds_before + (0.0 if math.isnan(self.started) else time.monotonic() - self.started)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.started = time.monotonic()

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        over_steps = 0 < self.max_steps <= trainer.global_step
        decayed = getattr(trainer.lr_scheduler_configs[0].scheduler, "finished", False)
        trainer.should_stop = trainer.should_stop or over_steps or self._over_time(trainer) or decayed
        if trainer.should_stop or trainer.current_epoch + 1 == trainer.max_epochs:
            trainer.check_val_every_n_epoch = 1

    def _over_time(self, trainer: pl.Trainer) -> bool:
        """Only after whole steps: a number of them then says where the training ended."""
        if trainer.fit_loop.epoch_loop._should_accumulate():
            return False
        if self.stopped_at is not None:
            return trainer.global_step >= self.stopped_at
        if self.max_time is None:
            return False
        over = self.seconds >= self.max_time.total_seconds()
        return trainer.strategy.reduce_boolean_decision(over, all=False) if trainer.world_size > 1 else over

    def state_dict(self) -> dict[str, Any]:
        return {"seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.seconds_before = state_dict["seconds"]


class FiniteLoss(Callback):
    """Stops at a loss that is not a number, naming the step, the rate and what to try; looked at every few steps."""

    def __init__(self, every_n_steps: int) -> None:
        self.every_n_steps, self.recent = every_n_steps, list[tuple[int, Tensor]]()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        step = trainer.global_step + trainer.fit_loop.epoch_loop._should_accumulate()
        self.recent.append((step, outputs["loss"].detach()))
        if len(self.recent) >= self.every_n_steps or trainer.is_last_batch:
            self._check(trainer)

    def _check(self, trainer: pl.Trainer) -> None:
        steps, losses = zip(*self.recent, strict=True)
        finite = torch.stack(losses).isfinite().tolist()
        if not all(finite):
            raise FloatingPointError(_not_finite(steps[finite.index(False)], trainer))
        self.recent.clear()


def _not_finite(step: int, trainer: pl.Trainer) -> str:
    """In words, with what to try: a rate has no part in the first loss."""
    if step == 1:
        return (
            "the loss is not finite at step 1, before any weight was changed: look for targets that are too large and "
            "for classes that weigh nothing (task.class_weights), or try trainer.speed=fp32"
        )
    kept = any(Path(trainer.default_root_dir).glob("checkpoints/*.ckpt"))
    return (
        f"the loss is not finite at step {step} (learning rate about {rate(trainer):.3g}): try a lower optimizers.lr, "
        f"trainer.gradient_clip_val=1.0 or trainer.speed=fp32{'; the last good checkpoint is kept' if kept else ''}"
    )


class Progress(Callback):
    """A line an epoch; on a terminal also the place within the epoch, redrawn at most four times a second."""

    def __init__(self, images_per_step: int) -> None:
        self.console, self.images_per_step = console(), images_per_step
        self.epoch_started = self.drawn = 0.0
        self.steps = 0  # of this epoch, in this process

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.epoch_started, self.steps = time.monotonic(), 0

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        now = time.monotonic()
        self.steps += 1
        if self.console.is_terminal and now - self.drawn > 0.25:
            self.drawn = now
            share = (batch_idx + 1) / trainer.num_training_batches
            bar = "━" * round(30 * share) + "╌" * (30 - round(30 * share))
            self.console.print(
                f"epoch {trainer.current_epoch + 1:>3}  {bar} {batch_idx + 1}/{trainer.num_training_batches}", end="\r"
            )

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        seconds = time.monotonic() - self.epoch_started
        figures = {name: float(value) for name, value in trainer.callback_metrics.items()}
        figures["train/loss"] = pl_module.mean_loss("train")
        shown = "  ".join(f"{name} {value:.4f}" for name, value in sorted(figures.items()))
        speed = self.steps * self.images_per_step / seconds
        of = f"/{trainer.max_epochs}" if trainer.max_epochs and trainer.max_epochs < 10_000 else ""
        self.console.print(f"epoch {trainer.current_epoch + 1:>3}{of}  {shown}  {images_a_second(speed)}")
