"""Images with a mask each, paired by name: DIR/images/a.jpg and DIR/masks/a.png, or so below train, val and test."""

import hashlib
import io
import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from datamodule.cache import open_store
from datamodule.cache_dir import writing_below
from datamodule.data import ImageData
from datamodule.decode import BROKEN, FORMATS, BadImage, Pixels, read_header
from datamodule.fingerprints import find_images, hashed
from datamodule.inventory import Inventory, Rows, inventory_of, split_named
from datamodule.parallel import spread
from datamodule.preprocessing import Fit, Squash
from datamodule.readers import FileReader
from datamodule.stores import ImageStore, MaskedStore, Reader
from datamodule.targets import Flaws, Kind, Targets, refuse_repeated
from datamodule.transforms import IGNORED
from utils.files import write_whole

log = logging.getLogger(__name__)

CHUNK = 64
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
        for name, count in zip(inventory.classes, counts, strict=True):
            if not count:
                log.warning("class %s is in no training mask", name)

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


class MaskFolders(ImageData):
    """Images and their masks: single-channel pictures, lossless, of class numbers (colour by palette is fine).

    root: the folder. images, masks: the folders of both, in root or in its train, val and test; mask_suffix: what a
    mask's name has more than its image's (_mask). values, ignored_values: of MaskTargets. options: of ImageData.
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
        told = json.loads(memory.read_bytes()) if memory.exists() else {}
        fresh = [sha for sha in paths if sha not in told]
        chunks = [fresh[start : start + CHUNK] for start in range(0, len(fresh), CHUNK)]
        for looked in spread(lambda chunk: [_look(self.root / paths[sha]) for sha in chunk], chunks, "masks", len):
            told |= dict(zip(fresh[: len(looked)], looked, strict=True))
            fresh = fresh[len(looked) :]
        with writing_below(Path(self.cache_dir)):
            write_whole(memory, json.dumps({sha: told[sha] for sha in paths}))
        return {sha: _mask(path, told[sha]) for sha, path in paths.items()}

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


@dataclass(frozen=True)
class OfMask:
    """A cache's transform for masks: the same part at the same size, by the nearest pixel."""

    of_images: Fit | Squash

    @property
    def nearest(self) -> Fit | Squash:
        if isinstance(self.of_images, Squash):
            return replace(self.of_images, channels=1, interpolation="nearest")
        one: dict[str, Any] = {"channels": 1, "mean": (0.0,), "std": (1.0,), "interpolation": "nearest"}
        return Fit(replace(self.of_images.preprocessing, **one))

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.nearest.shape

    @property
    def key(self) -> str:
        return f"mask {self.nearest.key}"

    def __call__(self, image: Pixels) -> Pixels:
        return self.nearest(image)


@dataclass(frozen=True, eq=False)
class MaskReader:
    """Decodes masks (H, W, 1), values as stored."""

    root: Path
    path: list[str]

    @classmethod
    def of(cls, inventory: Inventory, targets: MaskTargets) -> "MaskReader":
        return cls(inventory.root, [targets.known[label].path for label in inventory.label])

    def __call__(self, row: int) -> Pixels:
        return decode_mask((self.root / self.path[row]).read_bytes())


def decode_mask(data: bytes) -> Pixels:
    """A mask file's values (H, W, 1), turned upright by EXIF; of a palette its numbers. Raises BadImage."""
    if data.startswith(b"\xff\xd8\xff"):
        raise BadImage("is a JPEG, whose compression blurs class numbers; store masks as PNG")
    read_header(data)
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            values = np.asarray(ImageOps.exif_transpose(image))
    except BROKEN as error:
        raise BadImage(f"cannot be decoded: {error}") from error
    if values.ndim == 3 and (values[:, :, :1] == values[:, :, :3]).all():
        values = values[:, :, 0]
    if values.ndim != 2 or values.min() < 0 or values.max() > 255:
        raise BadImage("holds colours or values above 255; a mask has one channel of class numbers")
    return np.ascontiguousarray(values, dtype=np.uint8)[:, :, None]


def _look(file: Path) -> dict[str, Any]:
    """A mask's facts as they are remembered."""
    try:
        values = decode_mask(file.read_bytes())
    except BadImage as error:
        return {"wrong": str(error)}
    counts = np.bincount(values.reshape(-1), minlength=256)
    pixels = {str(value): int(counts[value]) for value in np.flatnonzero(counts)}
    return {"height": values.shape[0], "width": values.shape[1], "pixels": pixels}


def _mask(path: str, told: dict[str, Any]) -> Mask:
    pixels = {int(value): count for value, count in told.get("pixels", {}).items()}
    return Mask(path, **{**told, "pixels": pixels})
