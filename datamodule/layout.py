"""What a folder of images says by its folders' names: classes, and splits where they are given."""

import logging
from pathlib import Path

from datamodule.fingerprints import find_images, hashed
from datamodule.inventory import Inventory, inventory_of, legible, split_named

log = logging.getLogger(__name__)


def scan_folder(root: Path, cache_dir: Path) -> Inventory:
    """The inventory of a folder; splits are "" unless folders give them. Raises ValueError for no folder."""
    if not root.is_dir():
        raise ValueError(f"{root} is no folder; give one with a folder of images for each class")
    found = find_images(root)
    splits = given_splits(root)
    places = [split_and_label(path, splits) for path in found.path]
    given = {"split": [split for split, _ in places], "label": [label for _, label in places], "source": "folder"}
    return inventory_of(root, {**hashed(root, found, cache_dir), **given}, class_folders(root, splits))


def given_splits(root: Path) -> dict[str, str]:
    """Folder name → split, where all folders are named as splits and hold folders of classes; else empty.

    Several that are taken for classes nevertheless are named with the reason, since few mean that.
    """
    names = folders(root)
    splits = {name: split for name in names if (split := split_named(name))}
    others = [name for name in names if name not in splits]
    if not others and any(folders(root / name) for name in splits):
        return splits
    if len(set(splits.values())) > 1:
        why = f"{', '.join(others[:3])} beside them" if others else "no folders of classes in them"
        log.warning("%s: %s are taken for classes, not for splits, with %s", root, " and ".join(splits), why)
    return {}


def split_and_label(path: str, splits: dict[str, str]) -> tuple[str, str]:
    """What the folders of a path say; "" where they say nothing."""
    parts = path.split("/")[:-1]
    split = splits[parts.pop(0)] if splits and parts else ""
    return split, parts[0] if parts else ""


def class_folders(root: Path, splits: dict[str, str]) -> list[str]:
    """All classes' names, sorted, those without an image too."""
    parents = [root / name for name in splits] or [root]
    return sorted({name for parent in parents for name in folders(parent)})


def folders(parent: Path) -> list[str]:
    """The names of the folders in a folder, sorted. Raises ValueError for one that is not UTF-8."""
    names = sorted(entry.name for entry in parent.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if foreign := next((legible(name) for name in names if legible(name) != name), None):
        raise ValueError(f"{parent / foreign}: the name of this folder is not UTF-8; rename it")
    return names
