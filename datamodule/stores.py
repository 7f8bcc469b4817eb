"""Images of one shape, asked for by their rows in the inventory: in RAM, on disk, or decoded at each reading."""

import os
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from datamodule.blocks import read_exactly
from datamodule.decode import BadImage, Pixels
from datamodule.inventory import Rows, Words

Reader = Callable[[int], Pixels]


class Transform(Protocol):
    """From an image of any size to one of `shape` (H, W, C); `key` names all that decides the result."""

    @property
    def shape(self) -> tuple[int, int, int]: ...
    @property
    def key(self) -> str: ...
    def __call__(self, image: Pixels) -> Pixels: ...


class Pixelled(Protocol):
    """Where a store's pixels come from; goes to worker processes."""

    def fetch(self, positions: Rows) -> Pixels:
        """The images at these positions of the source (B, H, W, C)."""


@dataclass(frozen=True, eq=False)
class ImageStore:
    """Images of one shape (H, W, C), picklable.

    position: where the source has each inventory row, -1 where this store does not hold it.
    bad: row → reason, of images that could not be decoded; they read as black, until they are left out.
    """

    shape: tuple[int, int, int]
    position: Rows
    source: Pixelled
    bad: Mapping[int, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return int((self.position >= 0).sum())

    def read(self, rows: Rows) -> Pixels:
        """The images of these inventory rows (B, H, W, C), in an array of their own."""
        positions = self.position[rows]
        if len(positions) and positions.min() < 0:
            raise IndexError(f"row {rows[positions.argmin()]} is not in this store of {len(self)} images")
        return self.source.fetch(positions)

    def take(self, rows: Rows) -> "ImageStore":
        """The same images, numbered as in `inventory.take(rows)`."""
        bad = {place: self.bad[row] for place, row in enumerate(rows.tolist()) if row in self.bad}
        return replace(self, position=self.position[rows], bad=bad)


@dataclass(frozen=True, eq=False, kw_only=True)
class MaskedStore(ImageStore):
    """Images, and the masks of the same rows (H, W, 1)."""

    masks: ImageStore

    def take(self, rows: Rows) -> "MaskedStore":
        return replace(super().take(rows), masks=self.masks.take(rows))  # type: ignore[call-arg, return-value]


class InRam:
    """A mapped array (N, H, W, C); worker processes that do not inherit it read the file it came from."""

    def __init__(self, pixels: Pixels, file: Path) -> None:
        self._pixels, self._file = pixels, file

    def fetch(self, positions: Rows) -> Pixels:
        return self._pixels[positions]

    def __reduce__(self) -> tuple[type["OnDisk"], tuple[Path, tuple[int, ...]]]:
        return OnDisk, (self._file, self._pixels.shape[1:])


class OnDisk:
    """A cache file, read row by row: resident memory does not grow with the set, as it would with a memory map."""

    def __init__(self, file: Path, shape: tuple[int, int, int]) -> None:
        self._file, self._shape = file, shape
        self._descriptor = os.open(file, os.O_RDONLY)
        weakref.finalize(self, os.close, self._descriptor)

    def fetch(self, positions: Rows) -> Pixels:
        pixels = np.empty((len(positions), *self._shape), np.uint8)
        for row, position in zip(pixels, positions.tolist(), strict=True):
            read_exactly(self._descriptor, row, position * row.nbytes)
        return pixels

    def __reduce__(self) -> tuple[type["OnDisk"], tuple[Path, tuple[int, int, int]]]:
        return OnDisk, (self._file, self._shape)


@dataclass(frozen=True, eq=False)
class Streamed:
    """Decoded at each reading; positions are the inventory's rows. Raises BadImage naming the file."""

    reader: Reader
    transform: Transform
    path: Words

    def fetch(self, positions: Rows) -> Pixels:
        pixels = np.empty((len(positions), *self.transform.shape), np.uint8)
        for image, row in zip(pixels, positions.tolist(), strict=True):
            image[:] = self.image(row)
        return pixels

    def image(self, row: int) -> Pixels:
        try:
            return self.transform(self.reader(row))
        except BadImage as error:
            advice = "repair or remove it, or set datamodule.on_bad_image=skip, which checks all images first"
            raise BadImage(f"{self.path[row]} {error}; {advice}") from error
