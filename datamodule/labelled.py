"""Labelled images to judge a model by: a source's test split, or all that another folder or table holds."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from torch import Tensor

from datamodule.cache import without_bad
from datamodule.checks import Skipped, bad_rows, leave_out
from datamodule.data import ImageData
from datamodule.inventory import Inventory, Rows
from datamodule.preprocessing import Fit, Preprocessing, Squash
from datamodule.stores import ImageStore, Reader
from datamodule.targets import parts
from datamodule.transforms import Augmentation, Normalize

log = logging.getLogger(__name__)

SHARED = ("kind", "batch_size", "eval_batch_size", "workers", "cache", "cache_dir", "on_bad_image", "seed")


class Labelled(ImageData):
    """Images of a source as one test split, seen through a model's own preprocessing; nothing is measured on them.

    inventory: of the source, in the order of the model's classes. skipped: what was left out of it before.
    """

    def __init__(self, source: ImageData, inventory: Inventory, skipped: Skipped, shape: Preprocessing) -> None:
        self.kinds = source.kinds  # type: ignore[misc]  # it gives what its source gives
        super().__init__(**{name: getattr(source, name) for name in SHARED})
        source.channels = shape.channels
        self.source, self.preprocessing, self.transforms = source, shape, {}
        self.inventory = replace(inventory, split=np.full(len(inventory), "test", object))
        self.skipped = skipped
        self.targets = source.targets

    def opened(self, inventory: Inventory, transform: Fit | Squash, rows: Rows | None = None) -> ImageStore:
        return self.source.opened(inventory, transform, rows)

    def reader(self, inventory: Inventory) -> Reader:
        return self.source.reader(inventory)

    def encode(self, inventory: Inventory) -> Tensor:
        return self.source.encode(inventory)

    def prepare(self) -> None:
        """Decodes once. Raises ValueError for an image that cannot be read."""
        if self._prepared:
            return
        stores = [self._open(Fit(self.preprocessing))]
        self.inventory, [store], skipped = without_bad(self.inventory, stores, self.on_bad_image)
        self.skipped = self.skipped + skipped
        self._training_store = self._evaluation_store = store
        self.target = self.encode(self.inventory)
        self.normalize = Normalize(self.preprocessing.mean, self.preprocessing.std)
        self.augmentation = Augmentation({}, len(self.classes))
        self._aspect = np.ones(len(self.inventory))
        self._prepared = True


def split_of(source: ImageData, name: str) -> tuple[Inventory, Skipped, str]:
    """A source's images of one split with its classes, what was left out, and the digest of all its images."""
    inventory, skipped = source.settled()
    return inventory.take(inventory.rows(name)), skipped, inventory.digest


def labelled_images(source: ImageData, classes: Sequence[str], place: Path) -> tuple[Inventory, Skipped]:
    """All labelled images of a source, or those in its `test` where that is given; in the model's classes.

    Raises ValueError for no labelled image and for labels that the model does not know.
    """
    inventory = source.scan()
    if not len(inventory):
        raise ValueError(f"tester.data={place}: no image in it; give a folder of images for each class, or a CSV")
    given = inventory.split == "test"
    labelled = (inventory.label != "") | (source.kind == "masks")
    kept = (given if given.any() else np.ones(len(inventory), bool)) & labelled
    if not kept.any():
        raise ValueError(f"tester.data={place}: none of its {len(inventory)} images has a label; predict.py needs none")
    if left := int((~kept).sum()):
        log.info("%s: %d images of other splits or without a label are left out", place, left)
    inventory = inventory.take(kept)
    if source.kind in ("classes", "heads", "labels"):
        refuse_unknown(sorted({part for label in inventory.label for part in parts(label)}), classes, place)
    inventory = replace(inventory, classes=tuple(classes))
    return leave_out(inventory, bad_rows(inventory, source.targets, classes), source.on_bad_image)


def refuse_unknown(found: Sequence[str], classes: Sequence[str], place: Path) -> None:
    """Raises ValueError naming the labels that are no class of the model."""
    unknown = [name for name in found if name not in classes]
    if unknown:
        raise ValueError(
            f"tester.data={place} holds classes that the model does not know: {_some(unknown)}; it knows "
            f"{_some(classes)}. Rename the folders or labels, or leave those images out"
        )


def _some(names: Sequence[str], limit: int = 10) -> str:
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")
