"""From what a source found to the inventory that is trained on: the step that all sources share."""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from datamodule.cache_dir import writing_below
from datamodule.decode import BadImage, read_header
from datamodule.frozen import Frozen
from datamodule.inventory import Inventory, legible
from datamodule.partition import partition, thin
from datamodule.targets import CLASSES, Targets, some

log = logging.getLogger(__name__)

OnBadImage = Literal["raise", "skip"]
Skipped = list[tuple[str, str]]
PRIORITY = ("test", "val", "train", "pool")


def settle(
    inventory: Inventory,
    *,
    cache_dir: Path,
    class_names: list[str] | None = None,
    n_samples: int | float | None = None,
    val_share: float = 0.15,
    test_share: float = 0.15,
    salt: str = "evergreen",
    on_bad_image: OnBadImage = "raise",
    targets: Targets = CLASSES,
) -> tuple[Inventory, Skipped]:
    """Checks a scanned inventory, orders its classes, fills in its splits, thins it to n_samples.

    Every row comes back with a split; unlabelled ones are `pool`. Bad images (unreadable, with a target that cannot be
    used, or duplicates with different ones) raise ValueError or, with on_bad_image="skip", are left out and returned as
    (file, reason); so are copies of an image in another split, whatever on_bad_image says: of those the one in test
    stays, then val's, then training's.
    Small classes' splits are frozen below cache_dir, where the settled inventory is kept too, by its digest: where the
    former are damaged and the latter does not show that they were drawn just so, ValueError.
    """
    _check_shares(val_share, test_share, n_samples)
    inventory, skipped = leave_out(inventory, bad_rows(inventory, targets, class_names), on_bad_image)
    if not len(inventory):
        raise ValueError(f"no image in {inventory.root}; give one folder of images for each class")
    inventory = replace(inventory, classes=targets.names(inventory, class_names))
    shares = {"val": val_share, "test": test_share}
    frozen = Frozen.of(inventory, shares, salt, cache_dir)
    split, drawn = partition(_stratified(inventory, targets), shares, salt, frozen.known or {})
    inventory = replace(inventory, split=split)
    inventory, copies = leave_out(inventory, _copies(inventory), "skip")
    if n_samples is not None:
        inventory = inventory.take(thin(_stratified(inventory, targets), n_samples, salt))
    check_classes(inventory, targets)
    frozen.renew(drawn, _kept_as(inventory, cache_dir).exists(), cache_dir)
    keep(inventory, cache_dir)
    if "" in inventory.label:
        log.info("%d images of %s have no label: they are the pool", (inventory.label == "").sum(), inventory.root)
    return inventory, skipped + copies


def leave_out(inventory: Inventory, bad: Mapping[int, str], on_bad_image: OnBadImage) -> tuple[Inventory, Skipped]:
    """The inventory without the bad rows, and their (file, reason); raises BadImage naming them instead on "raise".

    bad: row → reason, as a store has them too; after that call `check_classes` on what is left.
    """
    skipped = [(legible(inventory.path[row]), reason) for row, reason in sorted(bad.items())]
    if not skipped:
        return inventory, skipped
    said = f"{len(skipped)} of {len(inventory)} images in {inventory.root}: {some([' '.join(one) for one in skipped])}"
    if on_bad_image == "raise":
        raise BadImage(f"cannot use {said}; repair or remove them, or leave them out: datamodule.on_bad_image=skip")
    log.warning("left out %s", said)
    good = np.ones(len(inventory), bool)
    good[list(bad)] = False
    return inventory.take(good), skipped


def check_classes(inventory: Inventory, targets: Targets = CLASSES) -> None:
    """Raises ValueError where there is too little to train on; names an empty split."""
    targets.check(inventory)
    for split in ("train", "val", "test"):
        if not len(inventory.rows(split)):
            log.warning("the %s split of %s is empty", split, inventory.root)


def _check_shares(val_share: float, test_share: float, n_samples: int | float | None) -> None:
    if val_share < 0 or test_share < 0 or val_share + test_share >= 1:
        raise ValueError(f"val_share {val_share} and test_share {test_share} leave nothing to train on; lower them")
    if n_samples is not None and (n_samples <= 0 or (isinstance(n_samples, float) and n_samples > 1)):
        raise ValueError(f"n_samples={n_samples} is neither a count (1, 2, …) nor a share in (0, 1]")


def bad_rows(
    inventory: Inventory, targets: Targets = CLASSES, class_names: Sequence[str] | None = None
) -> dict[int, str]:
    """Row → reason: images that cannot be read or named, or have no target of use, or equals labelled otherwise."""
    flaws = targets.flaws(inventory, class_names)
    return flaws | _unreadable(inventory) | _contradictory(inventory, targets) | _misnamed(inventory)


def _unreadable(inventory: Inventory) -> dict[int, str]:
    rows = np.flatnonzero(inventory.width == 0).tolist()
    return {row: _why_not(inventory.root / str(inventory.path[row])) for row in rows}


def _why_not(file: Path) -> str:
    """Why a file is no image; in general where it is no longer there to be asked."""
    try:
        read_header(file.read_bytes())
    except BadImage as error:
        return str(error)
    except OSError:
        pass
    return "cannot be read as an image (empty, broken or of another kind)"


def _misnamed(inventory: Inventory) -> dict[int, str]:
    """No table, page or log can hold such a name."""
    return {row: "has a name that is not UTF-8" for row, path in enumerate(inventory.path) if legible(path) != path}


def _contradictory(inventory: Inventory, targets: Targets) -> dict[int, str]:
    """The rows whose content occurs with another target too; unlabelled copies contradict nobody."""
    first: dict[str, str] = {}
    torn: dict[str, set[str]] = {}
    for sha, label in zip(inventory.sha256, inventory.label, strict=True):
        if not label or (former := first.setdefault(sha, label)) == label:
            continue
        if targets.meaning(former) != targets.meaning(label):
            torn.setdefault(sha, {former}).add(label)
    said = {
        sha: f"is labelled {' and '.join(map(repr, sorted(labels)))} in equal files" for sha, labels in torn.items()
    }
    return {row: said[sha] for row, sha in enumerate(inventory.sha256) if sha in said}


def _copies(inventory: Inventory) -> dict[int, str]:
    best: dict[str, int] = {}
    for part in PRIORITY:
        for row in inventory.rows(part).tolist():
            best.setdefault(inventory.sha256[row], row)
    kept = np.fromiter((best[sha] for sha in inventory.sha256), np.int64, len(inventory))
    copies = np.flatnonzero(inventory.split != inventory.split[kept])
    return {row: f"is {inventory.path[kept[row]]} of the {inventory.split[kept[row]]} split" for row in copies.tolist()}


def _stratified(inventory: Inventory, targets: Targets) -> Inventory:
    return replace(inventory, label=targets.strata(inventory))


def keep(inventory: Inventory, cache_dir: Path) -> None:
    """Stores an inventory by the digest of its images and labels, and of their splits, so that it can be had again."""
    file = _kept_as(inventory, cache_dir)
    if not file.exists():
        with writing_below(cache_dir):
            inventory.write_csv(file)


def _kept_as(inventory: Inventory, cache_dir: Path) -> Path:
    splits = hashlib.sha256("\n".join(inventory.split).encode()).hexdigest()[:8]
    return cache_dir / "inventories" / f"{inventory.digest}-{splits}.csv"
