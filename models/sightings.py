"""What callbacks share that keep something of each training sample: one label each, and sums over all processes."""

from collections.abc import Callable

import pytorch_lightning as pl
from torch import Tensor

from datamodule.data import ImageData

Together = Callable[[Tensor], Tensor]  # this process's sums -> those of all


def require_one_label(data: ImageData, callback: str, why: str) -> None:
    """Prepares the data. Raises ValueError where a sample has no single label, or training blends them."""
    data.prepare()
    if data.augmentation.softens:
        raise ValueError(
            f"callback={callback} needs one label an image, and mixup and CutMix show the network two: {why}. Choose "
            "another datamodule/augment, or set datamodule.augment.mixup=null and datamodule.augment.cutmix=null"
        )
    if data.kind != "classes":
        raise ValueError(f"callback={callback} judges one class an image, but the task learns {data.kind}")


def alone(sums: Tensor) -> Tensor:
    return sums


def added_up(trainer: pl.Trainer) -> Together:
    """Sums a tensor over all processes; each must call it."""
    strategy = trainer.strategy
    if trainer.world_size == 1:
        return alone
    return lambda sums: strategy.reduce(sums.to(strategy.root_device, copy=True), reduce_op="sum").cpu()
