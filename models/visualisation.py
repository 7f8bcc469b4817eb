"""The report of a run while it trains, and its charts in TensorBoard."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from PIL import Image
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import TensorBoardLogger
from torch import Tensor

from datamodule.data import ImageData
from models import report
from models.inference import Predictions
from models.prediction_sections import Judged, of_predictions
from models.reporting import of_data
from models.run import Run
from models.task import ImageTask
from utils.report import Section, write_report
from utils.words import many

log = logging.getLogger(__name__)


class Visualisation(Callback):
    """Writes report/index.html after validations, about the validation split; the finished run's report replaces it.

    first_round: the first epoch, counted from 1, that is shown; every_n_rounds: epochs from one to the next.
    It draws no random number and changes nothing of the training. Of several processes the first shows its own share.
    """

    def __init__(self, folder: str, first_round: int = 1, every_n_rounds: int = 1) -> None:
        if every_n_rounds < 1:
            raise ValueError(f"callback.visualisation.every_n_rounds={every_n_rounds}: use 1 or more")
        self.run = Run(Path(folder).parent)
        self.first_round, self.every_n_rounds = first_round, every_n_rounds
        self._seen: list[tuple[Tensor, Tensor, Tensor]] = []
        self._of_data: list[Section] = []

    def _is_due(self, trainer: pl.Trainer) -> bool:
        past = trainer.current_epoch + 1 - self.first_round
        return trainer.is_global_zero and past >= 0 and past % self.every_n_rounds == 0

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._seen.clear()

    def on_validation_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        if self._is_due(trainer):
            logits, target = pl_module.kept(outputs["logits"].float(), batch.target)  # type: ignore[operator]
            self._seen.append((batch.index.cpu(), target.cpu(), logits.cpu()))

    def on_validation_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        if self._seen and self._is_due(trainer):
            rows, target, logits = (torch.cat(column).numpy() for column in zip(*self._seen, strict=True))
            page = self._write(trainer, pl_module, Predictions(rows, target, logits))
            self._seen.clear()
            show_in_tensorboard(trainer, page.parent)

    def _write(self, trainer: pl.Trainer, task: ImageTask, found: Predictions) -> Path:
        data: ImageData = trainer.datamodule  # type: ignore[attr-defined]
        self._of_data = self._of_data or of_data(data)
        judged = Judged("validation", found, task.evaluation(found.logits, found.target, data.classes, None), None)
        done = f"round {trainer.current_epoch + 1} of {trainer.max_epochs}, {many(trainer.global_step, 'step')}"
        sections = [
            report.headline(judged.evaluation, "validation", {"training": done, "run": str(self.run.folder)}),
            report.learning_curves(self.run.metrics_file),
            *of_predictions(judged, data, task.net),
            *self._of_data,
        ]
        return write_report(self.run.report, f"{self.run.folder.parent.name} / {self.run.folder.name}", sections, done)


def show_in_tensorboard(trainer: pl.Trainer, folder: Path) -> None:
    """Each chart of the report under its file's name, at this step."""
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            for file in sorted(folder.glob("*.png")):
                pixels = np.asarray(Image.open(file).convert("RGB"))
                logger.experiment.add_image(f"report/{file.stem}", pixels, trainer.global_step, dataformats="HWC")
