"""Which weights a finished training keeps: those that its schedule ended with, or those of its best epoch.

Of hundreds of epochs the one with the lowest validation loss is partly the luckiest. It is early, too: a network goes
on to learn when its growing certainty already makes the loss rise (Berta et al. 2025, arXiv:2501.19195). So the weights
at the end of a completed schedule stay, unless the best epoch's are certainly better on the validation images, each
with its certainty put right by a temperature.
"""

import copy
import logging
import math
from dataclasses import dataclass

import numpy as np
import pytorch_lightning as pl
import torch

from datamodule.data import ImageData
from models.callbacks import the
from models.checkpoint import Checkpoints, rate
from models.figures import LOSS
from models.inference import Predictions, predict
from models.run import Run
from models.task import ImageTask

log = logging.getLogger(__name__)
COMPLETED = 0.15  # of the highest rate: a schedule that has come below has done its work
CERTAIN = 2.0  # standard errors


@dataclass(frozen=True)
class Kept:
    """The epoch (from 1) whose weights are in the network; None where no validation chose one. best: by the figure.

    val: the predictions of these weights, where they are known already.
    """

    epoch: int | None
    best: int | None = None
    val: Predictions | None = None


def keep(run: Run, trainer: pl.Trainer, task: ImageTask, data: ImageData) -> Kept:
    """Puts the weights that are kept into the network, which has the last ones."""
    keeper, last = the(Checkpoints, trainer), trainer.current_epoch
    best = keeper.best_epoch if run.best.exists() else None
    if best is None or keeper.keep == "last":
        return Kept(last if best else None, best)
    wanted = torch.load(run.best, map_location="cpu", weights_only=True)["state_dict"]
    if best == last or keeper.keep == "best" or keeper.monitor != LOSS or not completed(trainer):
        task.load_state_dict(wanted)
        return Kept(best, best)
    ended, device = copy.deepcopy(task.state_dict()), trainer.strategy.root_device
    of_last = predict(task, data, "val", device)
    task.load_state_dict(wanted)
    of_best = predict(task, data, "val", device)
    gain, error = paired(task, of_best, of_last)
    certain = gain > CERTAIN * error
    told = f"cost {abs(gain):.3g} ± {error:.2g} {'less' if gain > 0 else 'more'} than the last epoch's"
    kept = "best" if certain else "last"
    log.info("epoch %d had the lowest %s, its answers %s: the %s weights are kept", best, LOSS, told, kept)
    if certain:
        return Kept(best, best, of_best)
    task.load_state_dict(ended)
    return Kept(last, best, of_last)


def completed(trainer: pl.Trainer) -> bool:
    """Whether the schedule has brought the rate down to its end."""
    return rate(trainer) < COMPLETED * the(Checkpoints, trainer).highest_rate


def paired(task: ImageTask, one: Predictions, other: Predictions) -> tuple[float, float]:
    """How much less the one's answers cost than the other's to the same images, on average, and its standard error.

    Infinitely less where the other one's are no numbers. Of a single image nothing is certain.
    """
    if not np.isfinite(other.logits).all():
        return math.inf, 0.0
    gained = task.costs(other.logits, other.target) - task.costs(one.logits, one.target)
    error = gained.std(ddof=1) / math.sqrt(len(gained)) if len(gained) > 1 else math.inf
    return float(gained.mean()), float(error)
