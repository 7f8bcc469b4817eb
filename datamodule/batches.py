"""A batch, and the loader that makes one of each key a sampler gives."""

import logging
from collections.abc import Sized
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from datamodule.decode import Pixels
from datamodule.parallel import cores
from datamodule.sampling import BatchKey, EvaluationBatches, TrainingBatches
from datamodule.stores import ImageStore, Streamed

log = logging.getLogger(__name__)

AHEAD = 2  # batches that each worker prepares before they are asked for


class Batch(NamedTuple):
    """Samples in columns of equal length B.

    image: (B, H, W, C) uint8 as stored; on the device (B, C, H, W) float32, normalised, channels last in memory.
    target: (B,) class numbers, (B, heads) of several, (B, K) shares where mixup or CutMix are on; (B, K) labels or
    values; (B, H, W) masks, 255 where a pixel does not count. The other columns stay on the CPU:
    index: rows of the inventory. epoch: -1 in evaluation. repeat: how often the sample came before in this epoch.
    """

    image: Tensor
    target: Tensor
    index: Tensor  # type: ignore[assignment]  # a tuple has a method of this name, which nobody needs here
    epoch: Tensor
    repeat: Tensor


class MaskBatches:
    """The masks of rows (B, H, W) uint8. table: (256,) the class of each value in the store."""

    def __init__(self, store: ImageStore, table: Pixels) -> None:
        self.store, self.table = store, table

    def __getitem__(self, index: Tensor) -> Tensor:
        return torch.from_numpy(self.table[self.store.read(index.numpy())[..., 0]])


class Batches(Dataset[Batch]):
    """Makes the batch that a key asks for, all its images in one read. target: of each row."""

    def __init__(self, store: ImageStore, target: Tensor | MaskBatches) -> None:
        self.store, self.target = store, target

    def __getitem__(self, key: BatchKey) -> Batch:
        index = torch.from_numpy(key.row)
        image = torch.from_numpy(self.store.read(key.row))
        return Batch(image, self.target[index], index, torch.full_like(index, key.epoch), torch.from_numpy(key.repeat))


class BatchLoader(DataLoader[Batch]):
    """A loader that Lightning may interrupt within an epoch: its place is asked from the trainer, so it saves none."""

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to load."""


def batch_loader(
    dataset: Batches, keys: TrainingBatches | EvaluationBatches, workers: int, pinned: bool, seed: int
) -> BatchLoader:
    """A loader whose workers, if any, live on through the epochs; it draws nothing from the global generator."""
    ahead: dict[str, Any] = {"prefetch_factor": AHEAD, "persistent_workers": True} if workers else {}
    generator = torch.Generator().manual_seed(seed)
    return BatchLoader(dataset, sampler=keys, batch_size=None, num_workers=workers, pin_memory=pinned,
                       generator=generator, **ahead)  # fmt: skip


def worker_count(wanted: int | str, store: ImageStore) -> int:
    """As wanted; "auto" takes one per core where images are decoded in every epoch, elsewhere none: they only cost."""
    if isinstance(wanted, int):
        return wanted
    return cores() if isinstance(store.source, Streamed) else 0


def log_loading(name: str, keys: Sized, workers: int, pinned: bool, said: set[str]) -> None:
    """How batches come. said: what was logged before, which is not again: a loader is made for several ends."""
    batches = "1 batch" if len(keys) == 1 else f"{len(keys)} batches"
    ahead = f"{workers} workers, {AHEAD * workers} batches ahead" if workers else "no workers"
    line = f"{name}: {batches}, {ahead}, {'pinned memory' if pinned else 'memory not pinned'}"
    if line not in said:
        log.info(line)
    said.add(line)
