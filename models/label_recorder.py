"""Label errors seen in training: each sample's logits averaged over the epochs, and a trimming of what looks wrong."""

import logging
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor

from datamodule.data import ImageData
from models.label_errors import Findings, Labels, findings
from models.label_pages import present
from models.sightings import Together, added_up, alone, require_one_label
from models.time_budget import MARKS, TimeBudget

log = logging.getLogger(__name__)

WAITING = 2**24  # logits kept back before they are averaged in: 64 MiB
LARGE = 2**30  # bytes of averages that are said beforehand


TRIMMED = 0.5  # of the flagged, the likeliest errors; the others are often right, and training needs them


@dataclass
class Averages:
    """Sums over a sample's sightings, each weighted by decay to the power of the epochs since; processes' sums add up.

    weight: (rows,) of the sightings so far. logits: (rows, classes). epoch: the last one.
    """

    weight: Tensor
    logits: Tensor
    epoch: int = 0

    @classmethod
    def empty(cls, rows: int, classes: int) -> "Averages":
        return cls(torch.zeros(rows), torch.zeros(rows, classes))

    def add(self, rows: Tensor, logits: Tensor, epoch: int, decay: float) -> None:
        """rows: (n,) any order, with repetitions. logits: (n, classes) float32."""
        if epoch > self.epoch:
            for sums in self.sums:
                sums *= decay ** (epoch - self.epoch)
            self.epoch = epoch
        self.weight.index_add_(0, rows, torch.ones(len(rows)))
        self.logits.index_add_(0, rows, logits)

    @property
    def sums(self) -> tuple[Tensor, Tensor]:
        return self.weight, self.logits

    def judged(self, labels: Labels) -> tuple[Labels, Findings]:
        """The rows seen so far, ascending, and what is found among them. labels: (all rows,)."""
        rows = np.flatnonzero(self.weight.numpy() > 0)
        logits = self.logits.numpy()[rows] / self.weight.numpy()[rows, None]
        return rows, findings(logits, labels[rows])


class LabelErrors(Callback):
    """Finds wrong training labels by the logits of the training itself, and writes them into the run folder at its end.

    A sample is judged by its logits, averaged over the epochs with a weight that decays per epoch; AUM takes the plain
    mean of the margin (Pleiss et al. 2020, arXiv:2001.10528). trim: from the share `trim_from` of the training on, the
    likeliest errors at an epoch's beginning are left out of its loss; they still pass through the network, are scored
    on, and come back if they recover. thumbnails: on the page. quality: look at the images too (duplicates,
    blank, dark, outlying), which reads each once more.
    """

    def __init__(
        self,
        decay: float = 0.5,
        trim: bool = False,
        trim_from: float = 0.5,
        thumbnails: int = 100,
        quality: bool = True,
    ) -> None:
        for name, value in (("decay", decay), ("trim_from", trim_from)):
            if not 0 < value <= 1:
                raise ValueError(f"callback.label_errors.{name}={value}: use a number above 0, up to 1")
        self.decay, self.trim, self.trim_from = decay, trim, trim_from
        self.thumbnails, self.quality = thumbnails, quality
        self.averages: Averages | None = None
        self.left_out: Tensor | None = None  # (rows,) bool
        self.decided = -1  # the epoch that left_out was chosen for
        self._waiting: list[tuple[Tensor, Tensor]] = []
        self._epoch = 0
        self._labels = torch.empty(0, dtype=torch.int64)
        self._added_up: Together = alone
        self._first = True

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Refuses what has no single label to judge, before any training."""
        data: ImageData = trainer.datamodule  # type: ignore[attr-defined]
        require_one_label(data, "label_errors", "a margin says nothing of either")
        self._labels, self._added_up, self._first = data.target, added_up(trainer), trainer.is_global_zero
        self._make_room(len(data.target), len(data.classes))

    def _make_room(self, rows: int, classes: int) -> None:
        if self.averages is None:
            self.averages = Averages.empty(rows, classes)
        size = sum(sums.nbytes for sums in self.averages.sums)
        if size > LARGE:
            log.warning("label errors keep %.1f GiB, in memory and in each checkpoint", size / 2**30)

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        pl_module.left_out = self.left_out

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        if self.trim and self.decided < trainer.current_epoch and progress(trainer) >= self.trim_from:
            self.left_out, self.decided = self._likeliest(), trainer.current_epoch
            pl_module.left_out = self.left_out
            log.info("label errors: %d samples are left out of the loss", int(self.left_out.sum()))

    def _likeliest(self) -> Tensor:
        rows, found = self._together().judged(self._labels.numpy())
        chosen = found.flagged & (found.rank <= TRIMMED * found.flagged.sum())
        left_out = torch.zeros(len(self._labels), dtype=torch.bool)
        left_out[torch.from_numpy(rows[chosen])] = True
        return left_out

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.current_epoch != self._epoch:
            self._catch_up()
            self._epoch = trainer.current_epoch
        self._waiting.append((batch.index, outputs["logits"]))
        if len(self._waiting) * outputs["logits"].numel() > WAITING:
            self._catch_up()

    def _catch_up(self) -> None:
        """Averages in what was only kept so far: once an epoch, so that no step takes time or waits for a GPU."""
        if self._waiting:
            assert self.averages is not None
            rows, logits = (torch.cat(column) for column in zip(*self._waiting, strict=True))
            self.averages.add(rows, logits.float().cpu(), self._epoch, self.decay)
            self._waiting.clear()

    def _together(self) -> Averages:
        """The averages over all processes; to be called by each of them."""
        self._catch_up()
        assert self.averages is not None
        weight, logits = map(self._added_up, self.averages.sums)
        return Averages(weight, logits, self.averages.epoch)

    def on_train_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        pl_module.left_out = None
        rows, found = self._together().judged(self._labels.numpy())
        if trainer.is_global_zero:
            data: ImageData = trainer.datamodule  # type: ignore[attr-defined]
            if unseen := data.sizes["train"] - len(rows):
                log.warning("label errors: %d training images were in no batch yet and are not judged", unseen)
            present(Path(trainer.default_root_dir), data, rows, found, self.thumbnails, self.quality)

    def state_dict(self) -> dict[str, Any]:
        """The averages of all processes together."""
        if self.averages is None:
            return {}
        together = self._together()
        sums = {field.name: getattr(together, field.name) for field in fields(together)}
        return {"averages": sums, "left_out": self.left_out, "decided": self.decided}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if state_dict:
            self.averages = Averages(**state_dict["averages"])
            if not self._first:  # the first process goes on with the sums of all
                self.averages = Averages.empty(*self.averages.logits.shape)
            self.left_out, self.decided = state_dict["left_out"], state_dict["decided"]


def progress(trainer: pl.Trainer) -> float:
    """The share of the training that is done, by its schedule where that knows (a time budget), else by its limits."""
    schedule = trainer.lr_scheduler_configs[0].scheduler
    if isinstance(schedule, TimeBudget):
        return schedule.done / MARKS
    by_steps = trainer.global_step / trainer.max_steps if trainer.max_steps > 0 else 0.0
    return max(by_steps, trainer.current_epoch / (trainer.max_epochs or 1))
