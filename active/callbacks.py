"""Active learning inside one fit of Lightning: every few epochs more of the pool is labelled and trained on."""

import logging
from typing import Any, Protocol

import numpy as np
import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from torch import nn

from active.look import draws_of, features_of, logits_of
from active.state import calibrated
from active.strategies.strategy import Strategy
from active.view import UNLABELLED, Array, View, unit
from datamodule.pool import PoolData
from models.draws import draws_aside

log = logging.getLogger(__name__)


class Labeller(Protocol):
    def __call__(self, rows: list[int]) -> list[str]:
        """The class of each of these rows of the inventory."""


class ActiveLearning(Callback):
    """After every `every_n_epochs` epochs asks for `batch` labels, until `budget` are there; the fit goes on with all.

    The fit's datamodule is a PoolData with the first labels: `PoolData.labelled`. What is labelled is in the callback's
    state, so a checkpoint has it and a resumed fit goes on with the same images. embedding: (candidates, D) in the
    order of `PoolData.candidates`; None: the network's features. Epochs grow with the labels: a constant rate suits.
    """

    def __init__(
        self,
        strategy: Strategy,
        label: Labeller,
        budget: int,
        batch: int = 20,
        every_n_epochs: int = 10,
        draws: int = 10,
        seed: int = 0,
        embedding: Array | None = None,
    ) -> None:
        if min(budget, batch, every_n_epochs) < 1:
            raise ValueError(f"budget={budget}, batch={batch}, every_n_epochs={every_n_epochs}: use 1 or more of each")
        self.strategy, self.label, self.budget, self.batch = strategy, label, budget, batch
        self.every_n_epochs, self.draws, self.seed, self.embedding = every_n_epochs, draws, seed, embedding
        self.labels: dict[str, str] = {}
        self.queries: list[tuple[int, str]] = []  # epoch and reason
        self._data: PoolData | None = None

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        data = self._data = _pool(trainer)
        data.prepare()
        rows = data.inventory.rows("train")
        self.labels = dict(zip(data.inventory.sha256[rows].tolist(), data.inventory.label[rows].tolist(), strict=True))
        trainer.reload_dataloaders_every_n_epochs = 1  # type: ignore[attr-defined]

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        epoch = trainer.current_epoch + 1
        if epoch % self.every_n_epochs or len(self.labels) >= self.budget:
            return
        data, training = _pool(trainer), pl_module.training
        with draws_aside(pl_module.device):
            self._ask(data, pl_module.net, epoch)
        pl_module.train(training)
        data.relabel(self.labels)

    def _ask(self, data: PoolData, net: nn.Module, epoch: int) -> None:
        view = self._view(data, net)
        count = min(self.batch, self.budget - len(self.labels), len(view.pool))
        if count < 1:
            return
        found = self.strategy.pick(view, count, np.random.default_rng([self.seed, epoch]))
        rows = data.candidates[found.rows]
        answers = self.label(rows.tolist())
        self.labels |= dict(zip(data.inventory.sha256[rows].tolist(), answers, strict=True))
        self.queries.append((epoch, found.why))
        log.info("epoch %d: %d labels. %s", epoch, len(self.labels), found.why)

    def _view(self, data: PoolData, net: nn.Module) -> View:
        rows, shas = data.candidates, data.inventory.sha256[data.candidates]
        key = np.fromiter((int(sha[:16], 16) for sha in shas), np.uint64, len(shas))
        numbers = {name: number for number, name in enumerate(data.classes)}
        label = np.array([numbers[self.labels[sha]] if sha in self.labels else UNLABELLED for sha in shas])
        embedding = features_of(net, data, rows) if self.embedding is None else self.embedding
        needs = self.strategy.needs
        return View(
            key, label, unit(embedding), calibrated(logits_of(net, data, rows), None),
            features_of(net, data, rows) if needs == "features" else None,
            calibrated_draws(draws_of(net, data, rows, self.draws, self.seed)) if needs == "draws" else None,
        )  # fmt: skip

    def state_dict(self) -> dict[str, Any]:
        return {"labels": self.labels, "queries": self.queries}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.labels, self.queries = dict(state_dict["labels"]), [tuple(one) for one in state_dict["queries"]]
        assert self._data is not None
        self._data.relabel(self.labels)


def calibrated_draws(draws: Array) -> Array:
    return np.stack([calibrated(one, None) for one in draws])


def _pool(trainer: pl.Trainer) -> PoolData:
    data = trainer.datamodule  # type: ignore[attr-defined]
    if not isinstance(data, PoolData):
        raise ValueError(f"ActiveLearning needs a datamodule.pool.PoolData, got {type(data).__name__}: wrap the source")
    return data
