"""Images with a mask each, paired by name: DIR/images/a.jpg and DIR/masks/a.png, or so below train, val and test."""

import hashlib
import json
import logging
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

from datamodule.cache import open_store
from datamodule.cache_dir import recalled, writing_below
from datamodule.data import ImageData
from datamodule.fingerprints import find_images, hashed
from datamodule.inventory import Inventory, Rows, inventory_of, split_named
from datamodule.mask_files import MaskReader, OfMask, are_remembered, look, mask_of
from datamodule.mask_targets import Mask, MaskTargets
from datamodule.parallel import spread
from datamodule.preprocessing import Fit, Squash
from datamodule.readers import FileReader
from datamodule.stores import ImageStore, MaskedStore, Reader
from datamodule.targets import Kind
from datamodule.transforms import IGNORED
from utils.files import write_whole

log = logging.getLogger(__name__)

CHUNK = 64


class MaskFolders(ImageData):
    """Images and their masks: single-channel pictures, lossless, of class numbers (colour by palette is fine).

    root: the folder. images, masks: the folders of both, in root or in its train, val and test; mask_suffix: what a
    mask's name has more than its image's. values, ignored_values: of MaskTargets. options: of ImageData.
    """

    kinds: ClassVar[tuple[Kind, ...]] = ("masks",)
    place = "root"

    def __init__(
        self,
        root: str,
        images: str = "images",
        masks: str = "masks",
        mask_suffix: str = "",
        values: list[int] | None = None,
        ignored_values: list[int] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.root, self.mask_suffix = Path(root).expanduser(), mask_suffix
        self.folders = {images: "image", masks: "mask"}
        self.values, self.ignored_values = values, [IGNORED] if ignored_values is None else ignored_values
        for value in [*(values or ()), *self.ignored_values]:
            if not 0 <= value <= 255:
                raise ValueError(f"datamodule.values, datamodule.ignored_values: {value} is no value from 0 to 255")

    def scan(self) -> Inventory:
        if not self.root.is_dir():
            raise ValueError(
                f"datamodule.root={self.root} is no folder; give one that holds {' and '.join(self.folders)}"
            )
        columns: dict[str, Any] = hashed(self.root, find_images(self.root), Path(self.cache_dir))
        places = {path: place for place, path in enumerate(columns["path"])}
        images, masks = self._pairs(places)
        shas = {key: columns["sha256"][places[path]] for key, path in masks.items()}
        known = self._known({sha: masks[key] for key, sha in shas.items()})
        self.targets = MaskTargets(known, self.values, self.ignored_values)
        kept = [places[path] for path in images.values()]
        own = {name: [column[place] for place in kept] for name, column in columns.items()}
        given = {"label": [shas.get(key, "") for key in images], "split": [split_named(key.parts[0]) for key in images]}
        self._check_orphans([path for key, path in masks.items() if key not in images])
        return inventory_of(self.root, {**own, **given, "source": "masks"}, [])

    def _pairs(self, paths: Iterable[str]) -> tuple[dict[PurePosixPath, str], dict[PurePosixPath, str]]:
        """Images and masks by what their paths have in common."""
        found: dict[str, dict[PurePosixPath, str]] = {"image": {}, "mask": {}}
        for path in paths:
            *folders, name = PurePosixPath(path).parts
            place = next((place for place, folder in enumerate(folders[:2]) if folder in self.folders), None)
            if place is None:
                continue
            kind = self.folders[folders.pop(place)]
            stem = PurePosixPath(name).stem
            key = PurePosixPath(*folders, stem.removesuffix(self.mask_suffix) if kind == "mask" else stem)
            if key in found[kind]:
                raise ValueError(f"{path} and {found[kind][key]} in {self.root} are both the {kind} {key}; keep one")
            found[kind][key] = path
        if not found["image"]:
            raise ValueError(
                f"no image in {self.root}/{next(iter(self.folders))}; datamodule.images names their folder"
            )
        return found["image"], found["mask"]

    def _check_orphans(self, orphans: list[str]) -> None:
        if not orphans:
            return
        said = f"{len(orphans)} masks in {self.root} have no image of their name: {', '.join(orphans[:5])}"
        if self.on_bad_image == "raise":
            raise ValueError(f"{said}; remove them, or set datamodule.on_bad_image=skip")
        log.warning("left out: %s", said)

    def _known(self, paths: dict[str, str]) -> dict[str, Mask]:
        """What is known of masks by sha256; new ones are decoded, others remembered."""
        name = hashlib.sha256(str(self.root.resolve()).encode()).hexdigest()[:16]
        memory = Path(self.cache_dir) / "masks" / f"{name}.json"
        told = recalled(memory, are_remembered) or {}
        fresh = [sha for sha in paths if sha not in told]
        chunks = [fresh[start : start + CHUNK] for start in range(0, len(fresh), CHUNK)]
        for looked in spread(lambda chunk: [look(self.root / paths[sha]) for sha in chunk], chunks, "masks", len):
            told |= dict(zip(fresh[: len(looked)], looked, strict=True))
            fresh = fresh[len(looked) :]
        with writing_below(Path(self.cache_dir)):
            write_whole(memory, json.dumps({sha: told[sha] for sha in paths}))
        return {sha: mask_of(path, told[sha]) for sha, path in paths.items()}

    def reader(self, inventory: Inventory) -> Reader:
        return FileReader(inventory.root, inventory.path, self.channels)

    def opened(self, inventory: Inventory, transform: Fit | Squash, rows: Rows | None = None) -> ImageStore:
        """The masks in a store of their own, of one channel, moved as the images are and never interpolated."""
        assert isinstance(self.targets, MaskTargets)
        images = super().opened(inventory, transform, rows)
        of_masks = replace(inventory, sha256=inventory.label)
        masks = open_store(of_masks, OfMask(transform), MaskReader.of(inventory, self.targets), Path(self.cache_dir),
                           rows=rows, mode=self.cache, on_bad_image=self.on_bad_image)  # fmt: skip
        bad = {**images.bad, **masks.bad}
        return MaskedStore(images.shape, images.position, images.source, bad, masks=masks)
