"""What the labels of an inventory stand for: one class, several labels or numbers; see also masks.py and heads.py."""

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from datamodule.inventory import SEVERAL, Inventory, Words

Kind = Literal["classes", "heads", "labels", "values", "masks"]
Flaws = dict[int, str]  # row → what is wrong with its target
ONE_STRATUM = "labelled"
LARGEST = float(np.finfo(np.float32).max)


class Targets:
    """One kind of target: how the words in `inventory.label` are named, checked and made into numbers."""

    def flaws(self, inventory: Inventory, class_names: Sequence[str] | None) -> Flaws:
        """The rows whose target cannot be used."""
        raise NotImplementedError

    def meaning(self, label: str) -> Hashable:
        """Equal for two spellings of one target."""
        return label

    def names(self, inventory: Inventory, class_names: Sequence[str] | None) -> tuple[str, ...]:
        """The classes, labels or targets in their order; raises ValueError where there is none of a name."""
        refuse_repeated(class_names)
        return inventory.classes if class_names is None else tuple(class_names)

    def strata(self, inventory: Inventory) -> Words:
        """What splits and subsets keep the proportions of; "" for what has no label. Only classes have any."""
        return np.where(inventory.label == "", "", ONE_STRATUM).astype(object)

    def check(self, inventory: Inventory) -> None:
        """Raises ValueError where this cannot be trained on."""
        raise NotImplementedError

    def encode(self, inventory: Inventory) -> NDArray[Any]:
        """Of each row (n, …)."""
        raise NotImplementedError

    def table(self, inventory: Inventory) -> NDArray[np.uint8]:
        """Of masks: the class of each value (256,)."""
        raise NotImplementedError


class Classes(Targets):
    """The class of an image, as its number (n,) int64; -1 without a label."""

    def flaws(self, inventory: Inventory, class_names: Sequence[str] | None) -> Flaws:
        known = {*inventory.label} if class_names is None else {"", *class_names}
        return {
            row: f"is labelled {label!r}, which datamodule.class_names={list(class_names or ())} lacks"
            for row, label in enumerate(inventory.label)
            if label not in known
        }

    def names(self, inventory: Inventory, class_names: Sequence[str] | None) -> tuple[str, ...]:
        empty = [name for name in inventory.classes if name not in set(inventory.label)]
        if class_names is None and empty:
            advice = "add some, remove its folder, or list the classes in datamodule.class_names"
            raise ValueError(f"no image of class {some(empty)} in {inventory.root}; {advice}")
        return super().names(inventory, class_names)

    def strata(self, inventory: Inventory) -> Words:
        return inventory.label

    def check(self, inventory: Inventory) -> None:
        train, pool = (set(inventory.label[inventory.rows(split)]) for split in ("train", "pool"))
        if len(inventory.classes) < 2:
            advice = "give at least two, by folders or labels"
            raise ValueError(f"{inventory.root} holds the classes {list(inventory.classes)}; {advice}")
        for name in inventory.classes:
            held = Counter(inventory.split[inventory.label == name])
            if held and name not in train | pool:
                found = " and ".join(f"{count} in {split}" for split, count in held.items())
                raise ValueError(f"class {name!r} has no training images but {found}; move some of them to training")

    def encode(self, inventory: Inventory) -> NDArray[Any]:
        return inventory.codes()


class Labels(Targets):
    """Any number of labels an image, (n, labels) float32 of 0 and 1; an image without a label to its name is "|"."""

    def flaws(self, inventory: Inventory, class_names: Sequence[str] | None) -> Flaws:
        known = {*(inventory.classes if class_names is None else class_names)}
        found = (
            (row, [part for part in parts(label) if part not in known]) for row, label in enumerate(inventory.label)
        )
        told = some(sorted(known))
        return {row: f"is labelled {some(foreign)}, which is none of {told}" for row, foreign in found if foreign}

    def meaning(self, label: str) -> Hashable:
        return frozenset(parts(label))

    def check(self, inventory: Inventory) -> None:
        if not inventory.classes:
            raise ValueError(f"no image in {inventory.root} has a label; name the column: datamodule.label_column")
        found = self.encode(inventory.take(inventory.rows("train"))).sum(axis=0)
        if missing := [name for name, count in zip(inventory.classes, found, strict=True) if not count]:
            raise ValueError(f"no training image has the label {some(missing)}; add some or leave that label out")

    def encode(self, inventory: Inventory) -> NDArray[Any]:
        number = {name: place for place, name in enumerate(inventory.classes)}
        encoded = np.zeros((len(inventory), len(number)), np.float32)
        for row, label in enumerate(inventory.label):
            encoded[row, [number[part] for part in parts(label)]] = 1
        return encoded


class Values(Targets):
    """Numbers of an image, (n, targets) float32; NaN without a label."""

    def flaws(self, inventory: Inventory, class_names: Sequence[str] | None) -> Flaws:
        names = inventory.classes if class_names is None else class_names
        found = {row: self._flaw(label.split(SEVERAL), names) for row, label in enumerate(inventory.label) if label}
        return {row: reason for row, reason in found.items() if reason}

    def meaning(self, label: str) -> Hashable:
        return tuple(float(word) if is_number(word) else word for word in label.split(SEVERAL))

    def _flaw(self, words: Sequence[str], names: Sequence[str]) -> str:
        if len(words) != len(names):
            return f"has {len(words)} values for {len(names)} targets ({some(names)})"
        told = list(zip(words, names, strict=True))
        if empty := [name for word, name in told if not word]:
            return f"has no value for {some(empty)}"
        wrong = [f"{word!r} for {name}" for word, name in told if not is_number(word)]
        return f"has {some(wrong)}, which is no finite number of 32 bits" if wrong else ""

    def check(self, inventory: Inventory) -> None:
        if not len(inventory.rows("train")):
            advice = "name the columns: datamodule.label_column"
            raise ValueError(f"no image in {inventory.root} has a value to train on; {advice}")

    def encode(self, inventory: Inventory) -> NDArray[Any]:
        nothing = ["nan"] * len(inventory.classes)
        words = [label.split(SEVERAL) if label else nothing for label in inventory.label]
        return np.array(words, object).astype(np.float32).reshape(len(inventory), len(inventory.classes))


CLASSES = Classes()


def targets_of(kind: Kind) -> Targets:
    """Masks and heads have none here: their source makes it."""
    made = {"classes": CLASSES, "labels": Labels(), "values": Values(), "masks": Targets(), "heads": Targets()}
    return made[kind]


def parts(label: str) -> list[str]:
    """The labels in a label."""
    return [part for part in label.split(SEVERAL) if part]


def refuse_repeated(class_names: Sequence[str] | None) -> None:
    if class_names is not None and len(set(class_names)) < len(class_names):
        raise ValueError(f"datamodule.class_names={list(class_names)} names a class twice; name each once")


def is_number(word: str) -> bool:
    """Whether a value can be kept as."""
    try:
        return abs(float(word)) <= LARGEST
    except ValueError:
        return False


def some(names: Sequence[str], limit: int = 5) -> str:
    """The first of many, and how many more there are."""
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")
