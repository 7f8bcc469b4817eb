"""Several classes an image, one of each of several kinds: a digit and its colour, each told in a column of its own."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datamodule.inventory import SEVERAL, Inventory
from datamodule.targets import Flaws, Labels, parts, refuse_repeated

IS = "="  # between a head and its class, in a class's full name: digit=3


@dataclass(frozen=True)
class Head:
    """One of several classifications. classes: their own names; start: the place of the first among all heads'."""

    name: str
    classes: tuple[str, ...]
    start: int

    @property
    def columns(self) -> slice:
        """Of the logits."""
        return slice(self.start, self.start + len(self.classes))


def heads_in(classes: Sequence[str]) -> list[Head]:
    """The heads that full names such as digit=3 tell of, in their order."""
    own: dict[str, list[str]] = {}
    for name in classes:
        head, _, of_head = name.partition(IS)
        own.setdefault(head, []).append(of_head)
    starts = np.cumsum([0, *(len(names) for names in own.values())])
    return [Head(name, tuple(names), int(start)) for (name, names), start in zip(own.items(), starts, strict=False)]


class HeadTargets(Labels):
    """A class of each head, (n, heads) int64: its place among all heads' classes; -1 without a label.

    sizes: how many classes each head has, in the heads' order. An inventory's label is "digit=3|colour=red".
    """

    def __init__(self, sizes: Mapping[str, int]) -> None:
        self.sizes = dict(sizes)
        for name, size in self.sizes.items():
            if IS in name or SEVERAL in name:
                raise ValueError(f"task.num_classes: a head cannot be called {name!r}; rename its column")
            if size < 2:
                raise ValueError(f"task.num_classes={self.sizes}: {name} needs at least 2 classes")

    def label(self, cells: Sequence[str]) -> str:
        """An inventory's label of the cells of one line, in the heads' order."""
        return SEVERAL.join(f"{name}{IS}{cell}" for name, cell in zip(self.sizes, cells, strict=True))

    def found(self, labels: Sequence[str]) -> list[str]:
        """Every class in these labels by its full name, head by head."""
        known = sorted({part for label in labels for part in parts(label)})
        return [part for name in self.sizes for part in known if part.startswith(name + IS) and part != name + IS]

    def flaws(self, inventory: Inventory, class_names: Sequence[str] | None) -> Flaws:
        empty = {name + IS: name for name in self.sizes}
        lacking = {
            row: f"has no {' and no '.join(empty[part] for part in parts(label) if part in empty)}"
            for row, label in enumerate(inventory.label)
            if any(part in empty for part in parts(label))
        }
        return super().flaws(inventory, class_names) | lacking

    def names(self, inventory: Inventory, class_names: Sequence[str] | None) -> tuple[str, ...]:
        refuse_repeated(class_names)
        names = tuple(inventory.classes if class_names is None else class_names)
        found = {head.name: len(head.classes) for head in heads_in(names)}
        if found != self.sizes:
            raise ValueError(
                f"{inventory.root} has the classes {found}, task.num_classes says {self.sizes}: make them agree, or "
                "list all in datamodule.class_names, as digit=3"
            )
        grouped = [f"{head.name}{IS}{name}" for head in heads_in(names) for name in head.classes]
        if list(self.sizes) != list(found) or grouped != list(names):
            raise ValueError(f"datamodule.class_names={list(names)}: list them head by head, {list(self.sizes)}")
        return names

    def check(self, inventory: Inventory) -> None:
        """As of one class an image, for every head."""
        held = inventory.label[(inventory.split == "train") | (inventory.split == "pool")]
        known = Counter(part for label in held for part in parts(label))
        if missing := [name for name in inventory.classes if not known[name]]:
            raise ValueError(f"no training image has the class {', '.join(missing[:5])}; add some to training")

    def encode(self, inventory: Inventory) -> NDArray[Any]:
        number = {name: place for place, name in enumerate(inventory.classes)}
        nothing = [-1] * len(self.sizes)
        told = [[number[part] for part in parts(label)] if label else nothing for label in inventory.label]
        return np.array(told, np.int64).reshape(len(inventory), len(self.sizes))
