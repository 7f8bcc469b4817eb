"""The network over a whole split, and the batches for it outside of a training loop."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datamodule.batches import Batch, BatchLoader
from datamodule.data import ImageData
from datamodule.statistics import spread_out
from models.task import ImageTask

SAMPLED = 2000  # images that a network looks at first; more change a whitening layer by nothing measurable


@dataclass(frozen=True)
class Predictions:
    """Of one split: rows of the inventory (N,), targets (N, …) and logits (N, …), as the task's `kept` gives them.

    Classes: (N,) and (N, classes). Several labels or values: both (N, names). Masks: each image's pixels by true class
    (N, classes), and by true and predicted class (N, classes, classes).
    """

    rows: NDArray[np.int64]
    target: NDArray[Any]
    logits: NDArray[Any]


@torch.inference_mode()
def predict(task: ImageTask, data: ImageData, split: str, device: torch.device) -> Predictions:
    """Logits in float32, whatever precision the training ran in, so that figures do not depend on it."""
    task.to(device).eval()
    loader = data.rows_dataloader(data.inventory.rows(split), split)
    parts = [
        (batch.index, *task.kept(task(batch.image).float(), batch.target)) for batch in ready(data, loader, device)
    ]
    rows, logits, target = (torch.cat([part.cpu() for part in column]).numpy() for column in zip(*parts, strict=True))
    return Predictions(rows, target, logits)


def ready(data: ImageData, loader: BatchLoader, device: torch.device) -> Iterator[Batch]:
    """Batches on the device, as the network takes them."""
    for batch in loader:
        yield data.on_after_batch_transfer(data.transfer_batch_to_device(batch, device, 0))


def sample(data: ImageData) -> Tensor:
    """Training images, normalised and not augmented (N, C, H, W), for a network that looks at data first."""
    rows = spread_out(data.inventory.rows("train"), SAMPLED)  # which lie in the order of their classes
    return torch.cat([batch.image for batch in ready(data, data.rows_dataloader(rows, "sample"), torch.device("cpu"))])


def example(data: ImageData, device: torch.device) -> Batch:
    """One training batch, augmented."""
    return next(islice(ready(data, data.train_dataloader(), device), 1))
