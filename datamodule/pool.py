"""A source whose training images gain their labels one by one: decoded once, as quick to train on as any other."""

import copy
from collections.abc import Mapping
from dataclasses import fields, replace

import numpy as np
from torch import Tensor

from datamodule.batches import BatchLoader
from datamodule.checks import Skipped
from datamodule.data import ImageData
from datamodule.inventory import Inventory, Rows, Words
from datamodule.preprocessing import Fit
from datamodule.sampling import EvaluationBatches
from datamodule.settings import DataSettings
from datamodule.stores import Reader
from datamodule.targets import Classes


class OpenClasses(Classes):
    """Classes of which training may not have an image yet."""

    def check(self, inventory: Inventory) -> None:
        if len(inventory.classes) < 2:
            raise ValueError(
                f"{inventory.root} holds the classes {list(inventory.classes)}: name at least two by "
                "datamodule.class_names=[…]"
            )


class PoolData(ImageData):
    """The images of a source: val and test as they are, all others to be labelled.

    After `prepare`: candidates, the rows that may train, one of each content; known, what the source says of each row's
    label ("" where nothing). `labelled` gives the data to train on.
    """

    candidates: Rows
    known: Words

    def __init__(self, source: ImageData) -> None:
        if source.kind != "classes":
            raise ValueError(f"active learning asks for one class an image, but the task learns {source.kind}")
        super().__init__(**{field.name: getattr(source, field.name) for field in fields(DataSettings)})
        self.source, self.targets = source, OpenClasses()
        source.targets = self.targets

    def scan(self) -> Inventory:
        return self.source.scan()

    def reader(self, inventory: Inventory) -> Reader:
        self.source.channels = self.channels
        return self.source.reader(inventory)

    def encode(self, inventory: Inventory) -> Tensor:
        return self.source.encode(inventory)

    def settled(self) -> tuple[Inventory, Skipped]:
        """Whatever may train counts as training here, so that it is stored and measured like it."""
        inventory, skipped = super().settled()
        split = inventory.split.copy()
        split[split == "pool"] = "train"
        return replace(inventory, split=split), skipped

    def prepare(self) -> None:
        if self._prepared:
            return
        super().prepare()
        rows = self.inventory.rows("train")
        _, first = np.unique(self.inventory.sha256[rows].astype(str), return_index=True)
        self.candidates = rows[np.sort(first)]
        if not len(self.candidates):
            raise ValueError(f"{self.inventory.root}: no image may be labelled, all belong to val or test")
        self.known = self.inventory.label

    def labelled(self, labels: Mapping[str, str]) -> "PoolData":
        """The same images where only these train. labels: sha256 of a candidate → its class."""
        part = copy.copy(self)
        part.relabel(labels)
        return part

    def relabel(self, labels: Mapping[str, str]) -> None:
        """From now on only these train; loaders made before keep what they had."""
        shas, rows = self.inventory.sha256, self.candidates
        split, label = self.inventory.split.copy(), self.inventory.label.copy()
        split[split == "train"] = "pool"
        label[split == "pool"] = ""
        chosen = rows[[sha in labels for sha in shas[rows]]]
        split[chosen] = "train"
        label[chosen] = [labels[sha] for sha in shas[chosen]]
        self.inventory = replace(self.inventory, split=split, label=label)
        self.target = self.encode(self.inventory)

    def _open_stores(self) -> None:
        super()._open_stores()
        if self._evaluation_store is not self._training_store:
            self._evaluation_store = self._open(Fit(self.preprocessing))

    def rows_dataloader(self, rows: Rows, name: str = "rows") -> BatchLoader:
        """Any rows, labelled or not; all are stored as evaluation sees them."""
        size = self.eval_batch_size or self.batch_size
        return self._loader(name, self._evaluation_store, EvaluationBatches(rows, size, *self._place()))
