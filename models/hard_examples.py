"""Training on what is not yet learned: the easiest samples sit out an epoch, the others are drawn in their place."""

from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from pytorch_lightning.callbacks import Callback
from torch import Tensor

from datamodule.data import ImageData
from datamodule.sampling import Chosen
from models.sightings import Together, added_up, alone, require_one_label


class HardExamples(Callback):
    """Leaves out the `share` of the training samples whose loss was the lowest when they were last seen.

    share: in (0, 1). from_epoch: the first that leaves any out. An epoch keeps its length: the others come up once or
    twice. Who sits out comes back when the others' losses have fallen below its own. After airbench96's filter (Jordan
    2024, arXiv:2404.00498) and Selective-Backprop (Jiang et al. 2019, arXiv:1910.00762). Wrong labels are hard, too:
    with many of them it does harm.
    """

    def __init__(self, share: float = 0.3, from_epoch: int = 2) -> None:
        if not 0 < share < 1:
            raise ValueError(f"callback.hard_examples.share={share}: use a number above 0, below 1")
        if from_epoch < 1:
            raise ValueError(f"callback.hard_examples.from_epoch={from_epoch}: use 1 or more, no loss is known before")
        self.share, self.from_epoch = share, from_epoch
        self.loss = torch.empty(0)  # (rows,) mean of the last epoch that had the sample; infinite: never seen
        self.sums = torch.empty(0)  # (2, rows) of this epoch: sightings and losses
        self._seen: list[tuple[Tensor, Tensor]] = []
        self._together: Together = alone
        self._first = True
        self._data: ImageData

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Refuses what has no loss for each label, before any training."""
        self._data = trainer.datamodule  # type: ignore[attr-defined]
        require_one_label(self._data, "hard_examples", "a blended image is neither easy nor hard")
        self._together, self._first = added_up(trainer), trainer.is_global_zero
        self.loss = torch.full((len(self._data.target),), torch.inf)
        self.sums = torch.zeros(2, len(self._data.target))

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """With an epoch's last batch, so that each process does so, it is settled who is left out of the next."""
        loss = F.cross_entropy(outputs["logits"].float(), batch.target, reduction="none")
        self._seen.append((batch.index, loss))
        if trainer.is_last_batch:
            self._settle()
            late = trainer.current_epoch + 1 >= self.from_epoch
            self._data.left_out = easiest(self.loss, self.share) if late else None

    def _settle(self) -> None:
        self._catch_up()
        count, total = self._together(self.sums)
        self.loss = torch.where(count > 0, total / count.clamp(min=1), self.loss)
        self.sums.zero_()

    def _catch_up(self) -> None:
        """Adds up what was only kept so far, so that no step waits for a GPU."""
        for rows, loss in self._seen:
            self.sums.index_add_(1, rows, torch.stack((torch.ones(len(rows)), loss.cpu())))
        self._seen.clear()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._data.left_out = None

    def state_dict(self) -> dict[str, Any]:
        """Of all processes together."""
        self._catch_up()
        left_out = None if self._data.left_out is None else torch.from_numpy(self._data.left_out)
        return {"loss": self.loss, "sums": self._together(self.sums), "left_out": left_out}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.loss, left_out = state_dict["loss"], state_dict["left_out"]
        if self._first:  # the others go on with no sums of their own
            self.sums = state_dict["sums"]
        self._data.left_out = None if left_out is None else left_out.numpy()


def easiest(loss: Tensor, share: float) -> Chosen:
    """Which of the samples seen have the lowest loss. loss: (n,), infinite: never seen. Returns (n,) bool."""
    order = np.argsort(loss.numpy(), kind="stable")[: int(share * loss.isfinite().sum())]
    return np.isin(np.arange(len(loss)), order)
