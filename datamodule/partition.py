"""Which image trains and which one tests: a function of the content's hash and a salt, so added data moves nothing."""

import hashlib
import logging
from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from datamodule.inventory import Inventory, Rows, Words

log = logging.getLogger(__name__)

SMALL_CLASS = 20  # below it, independent draws at a share of 15 % leave val or test empty in 4 of 100 classes


def draw(keys: Iterable[str], salt: str) -> npt.NDArray[np.float64]:
    """One number in [0, 1) for each key, from sha256 of salt and key alone."""
    digests = (hashlib.sha256(f"{salt}\t{key}".encode()).digest() for key in keys)
    return np.fromiter((int.from_bytes(digest[:8]) >> 11 for digest in digests), np.float64) / 2**53


def keys(inventory: Inventory) -> Words:
    """What decides an image's split: its group where it has one, else its content."""
    return np.where(inventory.group == "", inventory.sha256, "group " + inventory.group)


def partition(
    inventory: Inventory, shares: Mapping[str, float], salt: str, frozen: Mapping[str, str]
) -> tuple[Words, dict[str, str]]:
    """Every image's split, and the frozen splits of small classes' keys, to be handed in the next time.

    shares: of val and test; a part that the source gives by folders or a column is taken as given, the other ones
    are cut from its training images. Images without a label are the pool.
    """
    split = inventory.split.copy()
    split[inventory.label == ""] = "pool"
    shares = {part: share for part, share in shares.items() if share > 0 and not (split == part).any()}
    free = np.flatnonzero((split == "") | (split == "train"))
    names = keys(inventory)[free]
    frozen = {**frozen, **_freeze(names, inventory.label[free], shares, salt, frozen)}
    split[free] = _by_hash(names, shares, salt)
    for row, name in zip(free.tolist(), names, strict=True):
        if frozen.get(name) in (*shares, "train"):
            split[row] = frozen[name]
    return split, frozen


def _by_hash(names: Words, shares: Mapping[str, float], salt: str) -> Words:
    """test takes the lowest numbers, val the next: a larger test share never sends a test image to training."""
    drawn, split, start = draw(names, salt), np.full(len(names), "train", object), 0.0
    for part in sorted(shares):
        split[(drawn >= start) & (drawn < start + shares[part])] = part
        start += shares[part]
    return split


def _freeze(
    names: Words, labels: Words, shares: Mapping[str, float], salt: str, frozen: Mapping[str, str]
) -> dict[str, str]:
    """Stratified splits of the classes that are small and were never frozen before."""
    members: dict[str, dict[str, None]] = {}
    for name, label in zip(names, labels, strict=True):
        members.setdefault(label, {})[name] = None
    small = [list(group) for group in members.values() if len(group) < SMALL_CLASS and not group.keys() & frozen.keys()]
    return {key: part for group in small for key, part in _stratify(group, shares, salt).items()}


def _stratify(group: list[str], shares: Mapping[str, float], salt: str) -> dict[str, str]:
    """Each part gets its share, rounded, and one at least; of two images one validates, a single one trains."""
    order = [group[place] for place in np.argsort(draw(group, salt), kind="stable")]
    parts: dict[str, str] = {}
    for part in sorted(shares, reverse=True):  # val first
        count = min(len(order) - 1, max(1, round(len(group) * shares[part])))
        parts |= dict.fromkeys(order[:count], part)
        order = order[count:]
    return {**parts, **dict.fromkeys(order, "train")}


def thin(inventory: Inventory, n_samples: int | float, salt: str) -> Rows:
    """Rows of a subset (a count, or a share as float) that keeps every split's and class's proportion.

    A smaller subset lies within a larger one; each class of each split keeps at least one image.
    """
    count = len(inventory)
    if n_samples > count:
        raise ValueError(f"asked for {n_samples} images of {count} in {inventory.root}; lower datamodule.n_samples")
    wanted = round(n_samples * count) if isinstance(n_samples, float) else n_samples
    cells: dict[tuple[str, str], list[int]] = {}
    for row in np.argsort(draw(inventory.sha256, f"{salt} thin"), kind="stable").tolist():
        cells.setdefault((inventory.split[row], inventory.label[row]), []).append(row)
    if wanted < len(cells):
        log.warning(
            "datamodule.n_samples=%s: %d images are taken; each split, and each class in it, keeps one",
            n_samples,
            len(cells),
        )
    rank = {row: place and (place + 0.5) / len(cell) for cell in cells.values() for place, row in enumerate(cell)}
    chosen = sorted(range(count), key=lambda row: (rank[row], inventory.path[row]))[: max(wanted, len(cells))]
    return np.asarray(sorted(chosen), np.int64)
