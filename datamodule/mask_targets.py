"""Masks as targets: a class for each pixel, by the values that the files hold."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datamodule.decode import Pixels
from datamodule.inventory import Inventory
from datamodule.targets import Flaws, Targets, refuse_repeated, some
from datamodule.transforms import IGNORED

log = logging.getLogger(__name__)

BINARY = [0, 255]  # how drawing programs write no and yes


@dataclass(frozen=True)
class Mask:
    """What is known of a mask: its file below the root, size, and how many pixels have each value.

    wrong: why it cannot be used, or "".
    """

    path: str
    height: int = 0
    width: int = 0
    pixels: dict[int, int] | None = None
    wrong: str = ""


class MaskTargets(Targets):
    """A class for each pixel; an inventory's label is the sha256 of its mask.

    known: masks by sha256. values: what the classes are called in the masks, in their order; None: 0, 1, 2, …, or 0 and
    255 where there are no others. ignored: values that are no class.
    """

    def __init__(self, known: dict[str, Mask], values: Sequence[int] | None, ignored: Sequence[int]) -> None:
        self.known, self.values, self.ignored = known, values, set(ignored) - set(values or ())

    def flaws(self, inventory: Inventory, class_names: Sequence[str] | None) -> Flaws:
        values = self._values(inventory, class_names)
        found = {row: self._flaw(inventory, row, set(values)) for row in range(len(inventory))}
        return {row: reason for row, reason in found.items() if reason}

    def _flaw(self, inventory: Inventory, row: int, values: set[int]) -> str:
        mask = self.known.get(inventory.label[row])
        if mask is None:
            return "has no mask of its name"
        if mask.wrong:
            return f"has the mask {mask.path}, which {mask.wrong}"
        own = int(inventory.height[row]), int(inventory.width[row])
        if (mask.height, mask.width) != own:
            size = f"{mask.width} x {mask.height} pixels, the image {own[1]} x {own[0]}"
            return f"has the mask {mask.path} of another size: {size}"
        foreign = sorted(set(mask.pixels or ()) - values - self.ignored)
        told = f"the values {foreign[:5]}, which are none of the classes' {sorted(values)[:20]}"
        return f"has the mask {mask.path} with {told}" if foreign else ""

    def _found(self, inventory: Inventory) -> set[int]:
        """All values in the masks that are no ignored ones."""
        masks = [self.known[label] for label in inventory.label if label in self.known]
        return {value for mask in masks for value in mask.pixels or ()}

    def _values(self, inventory: Inventory, class_names: Sequence[str] | None) -> list[int]:
        if self.values is not None:
            return list(self.values)
        found, count = self._found(inventory), 2 if class_names is None else len(class_names)
        if found and found <= set(BINARY) and 255 in found and count == 2:
            return BINARY
        most = max(found - self.ignored, default=0) + 1
        return list(range(most if class_names is None else len(class_names)))

    def names(self, inventory: Inventory, class_names: Sequence[str] | None) -> tuple[str, ...]:
        refuse_repeated(class_names)
        values = self._values(inventory, class_names)
        if class_names is not None and len(values) != len(class_names):
            raise ValueError(f"datamodule.class_names={list(class_names)} needs a name for each of values={values}")
        return tuple(map(str, values)) if class_names is None else tuple(class_names)

    def check(self, inventory: Inventory) -> None:
        counts = self.encode(inventory.take(inventory.rows("train"))).sum(axis=0)
        if len(counts) < 2 or (counts > 0).sum() < 2:
            advice = "two are needed. datamodule.values=[…] says which values are the classes"
            raise ValueError(f"the training masks of {inventory.root} show fewer than two classes: {advice}")
        if absent := [name for name, count in zip(inventory.classes, counts, strict=True) if not count]:
            log.warning(self._told_absent(inventory, absent))

    def _told_absent(self, inventory: Inventory, absent: Sequence[str]) -> str:
        found = sorted(self._found(inventory) - self.ignored)
        values = ",".join(map(str, found))
        advice = f"; datamodule.values=[{values}] makes a class of each that occurs" if self.values is None else ""
        few = f"class {absent[0]} is" if len(absent) == 1 else f"{len(absent)} of {len(inventory.classes)} classes are"
        return f"{few} in no training mask{'' if len(absent) == 1 else ': ' + some(absent)}{advice}"

    def encode(self, inventory: Inventory) -> NDArray[Any]:
        """Each image's pixels of every class (n, classes) int64."""
        table = self.table(inventory)
        counts = np.zeros((len(inventory), 256), np.int64)
        for row, label in enumerate(inventory.label):
            for value, pixels in (self.known[label].pixels or {}).items():
                counts[row, table[value]] += pixels
        return counts[:, : len(inventory.classes)]

    def table(self, inventory: Inventory) -> Pixels:
        """The class of each value (256,), 255 for what does not count."""
        table = np.full(256, IGNORED, np.uint8)
        values = self._values(inventory, inventory.classes)
        table[values] = np.arange(len(values))
        return table
