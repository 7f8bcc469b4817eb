"""Files of masks: decoding them, and what is to be known of one before it is used."""

import io
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from datamodule.decode import BROKEN, FORMATS, BadImage, Pixels, read_header
from datamodule.inventory import Inventory
from datamodule.mask_targets import Mask, MaskTargets
from datamodule.preprocessing import Fit, Squash


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


def look(file: Path) -> dict[str, Any]:
    """A mask's facts as they are remembered."""
    try:
        values = decode_mask(file.read_bytes())
    except BadImage as error:
        return {"wrong": str(error)}
    counts = np.bincount(values.reshape(-1), minlength=256)
    pixels = {str(value): int(counts[value]) for value in np.flatnonzero(counts)}
    return {"height": values.shape[0], "width": values.shape[1], "pixels": pixels}


def are_remembered(told: Any) -> bool:
    """Whether these are facts by sha256, as `look` gives them."""
    return isinstance(told, dict) and all(_is_a_look(facts) for facts in told.values())


def _is_a_look(facts: Any) -> bool:
    if not isinstance(facts, dict) or not isinstance(facts.get("pixels", {}), dict):
        return False
    values = [facts.get("height"), facts.get("width"), *facts.get("pixels", {}).values()]
    return "wrong" in facts or all(isinstance(value, int) for value in values)


def mask_of(path: str, told: dict[str, Any]) -> Mask:
    pixels = {int(value): count for value, count in told.get("pixels", {}).items()}
    return Mask(path, **{**told, "pixels": pixels})
