"""One trial: a training in a folder of its own that tells its figures epoch by epoch and can be ended by them."""

import copy
import io
import logging
import shutil
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint

from datamodule.data import ImageData
from datamodule.transforms import Normalize
from models.latency import timed
from models.run import Run
from models.training import Parts, stand_in, train
from tuning.auto_optimizer import TooShort
from tuning.choice import Choice
from tuning.orders import Config, Ending, Order
from tuning.problem import OF_A_TRIAL
from utils.build import build
from utils.configuration import digest
from utils.files import write_whole

Report = Callable[[int, dict[str, float]], bool]  # epoch and figures of a validation → whether to go on

KEPT_SETS = 4  # prepared sets of images that a process keeps
_SETS: dict[str, ImageData] = {}


class TrialEnded(Exception):
    """Leaves the training: the trial has told all that it has to."""

    def __init__(self, ending: Ending) -> None:
        super().__init__()
        self.ending = ending


class Reporter(Checkpoint):
    """Tells the figures of each validation, and ends the training when told to, when its time is up, or at its end.

    A trial leaves no evaluation, report and model file: those are of the final training. It stands in for checkpoints,
    too, since Lightning would write its own where no callback is one.
    """

    def __init__(self, order: Order, report: Report, data: ImageData) -> None:
        self.order, self.report, self.data = order, report, data
        self.began, self.reported = time.monotonic(), False

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.order.goes_on_from:
            take_values(pl_module, trainer.optimizers[0], trainer.lr_scheduler_configs[0].scheduler)

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        if self.order.seconds_left <= 0:
            raise TrialEnded(Ending({"seconds": self._seconds}, stopped=True))

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.sanity_checking:
            return
        self.reported = True
        of_now = {name: value for name, value in trainer.callback_metrics.items() if not name.startswith("train/")}
        figures = {name: float(value) for name, value in of_now.items()}
        if self.order.is_handed_on(trainer.current_epoch + 1):
            trainer.save_checkpoint(Run(Path(self.order.folder)).last)
        if not self.report(trainer.current_epoch + 1, figures):
            raise TrialEnded(Ending({"seconds": self._seconds}, stopped=True))

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not self.reported:
            raise ValueError("the trial ended before its first validation: raise tune.epochs or trainer.max_steps, "
                             "or lower trainer.check_val_every_n_epoch")  # fmt: skip
        figures = {"seconds": self._seconds, "parameters": float(sum(one.numel() for one in pl_module.parameters()))}
        if self.order.latency:
            figures["latency_ms"] = self._latency_ms(pl_module)
        raise TrialEnded(Ending(figures))

    @property
    def _seconds(self) -> float:
        return time.monotonic() - self.began

    def _latency_ms(self, task: Any) -> float:
        """The median of one image at a time, in float32."""
        shape, device = self.data.preprocessing, task.device
        normalize = Normalize(shape.mean, shape.std)
        image = torch.zeros((1, shape.channels, shape.height, shape.width), dtype=torch.uint8, device=device)
        net = task.net.float().eval()
        return 1000 * float(torch.tensor(timed(lambda: net(normalize(image)), device)).median())


def run_trial(order: Order, report: Report) -> Ending:
    """Trains as ordered. An error ends the trial alone: it is told, and its trace is left in the trial's folder."""
    run = Run(Path(order.folder))
    run.folder.mkdir(parents=True, exist_ok=True)
    data = None
    with quiet():
        try:
            data = prepared(order.config)
            resume = order.goes_on_from is not None
            if order.goes_on_from is not None:
                run.checkpoints.mkdir(exist_ok=True)
                for kept in (run.last, run.configuration_file):
                    shutil.copy(Path(order.goes_on_from) / kept.name, kept)
            choose = Choice(time.monotonic() + order.seconds_left)
            train(order.config, run, resume, Parts(data, (Reporter(order, report, data),), choose))
        except TrialEnded as ended:
            return ended.ending
        except FloatingPointError as error:
            return Ending(error=str(error), diverged=True)
        except Exception as error:  # noqa: BLE001 - whatever a trial dies of is its own: the search goes on
            if isinstance(error, TooShort) and order.seconds_left <= 0:
                return Ending(stopped=True)
            write_whole(run.folder / "error.txt", traceback.format_exc())
            mistake = isinstance(error, ValueError) and bool(str(error))
            told = str(error) if mistake else f"{type(error).__name__}: {error}"
            return Ending(error=told, without_images=mistake and data is None)
    raise AssertionError("a trial's training is ended by its reporter")


def take_values(task: Any, optimizer: torch.optim.Optimizer, schedule: Any) -> None:
    """Rates, decays and the like of the task's configuration, after another trial's state was loaded; its moments stay.

    schedule: follows; it stands where the other one's stood.
    """
    bases = schedule.base_lrs if hasattr(schedule, "base_lrs") else schedule.full
    for place, (group, own) in enumerate(
        zip(optimizer.param_groups, task.make_optimizer(task.net).param_groups, strict=True)
    ):
        rate, share = float(own["lr"]), float(group["lr"]) / bases[place]
        group.update({name: value for name, value in own.items() if name != "params"})
        group["lr"], bases[place] = rate * share, rate
        if "initial_lr" in group:
            group["initial_lr"] = rate


def prepared(config: Config) -> ImageData:
    """The trial's images; sets that differ in batches alone are prepared once in a process, and share their pixels."""
    node = stand_in(config, "datamodule")
    key = digest({name: value for name, value in node.items() if name not in OF_A_TRIAL})
    if key not in _SETS:
        data: ImageData = build(node, seed=config["seed"])
        data.prepare()
        data.require_validation("trainer.tune")
        _SETS[key] = data
        while len(_SETS) > KEPT_SETS:
            del _SETS[next(iter(_SETS))]
    own = copy.copy(_SETS[key])
    for name in OF_A_TRIAL:
        setattr(own, name, node.get(name, getattr(own, name)))
    return own


@contextmanager
def quiet() -> Iterator[None]:
    """Trainings say warnings alone, show no tables, and leave this process's threads as they were."""
    loggers = [logging.getLogger(name) for name in ("models", "datamodule", "utils", "tuning")]
    levels, threads = [logger.level for logger in loggers], torch.get_num_threads()
    try:
        for logger in loggers:
            logger.setLevel(logging.WARNING)
        with redirect_stdout(io.StringIO()):
            yield
    finally:
        torch.set_num_threads(threads)
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
