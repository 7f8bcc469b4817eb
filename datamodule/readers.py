"""From an inventory's row to an image; readers are called by several threads and go to worker processes."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from datamodule.decode import Enough, Pixels, decode, to_pixels
from datamodule.inventory import Inventory, Rows, Words
from datamodule.stores import Reader, Transform


@dataclass(frozen=True, eq=False)
class FileReader:
    """Decodes files below a root; channels None: as stored. enough: at which size at least. Raises BadImage."""

    root: Path
    path: Words
    channels: int | None
    enough: Enough | None = None

    def __call__(self, row: int) -> Pixels:
        return decode((self.root / self.path[row]).read_bytes(), self.channels, self.enough)


def decoding(reader: Reader, transform: Transform) -> Reader:
    """The reader, told how large a transform needs its images: of files alone, others have them decoded."""
    enough = getattr(transform, "enough", None)
    return replace(reader, enough=enough) if enough is not None and isinstance(reader, FileReader) else reader


@dataclass(frozen=True, eq=False)
class ArrayReader:
    """Images that are in memory already. pixels: (N, H, W, C); number: of each inventory row's image."""

    pixels: Pixels
    number: Rows
    channels: int | None

    def __call__(self, row: int) -> Pixels:
        image = self.pixels[self.number[row]]
        if self.channels in (None, image.shape[2]):
            return image
        return to_pixels(Image.fromarray(image.squeeze(2) if image.shape[2] == 1 else image), self.channels)


def numbers(inventory: Inventory) -> Rows:
    """The number that a path such as "train/000123" ends in, for each row."""
    return np.fromiter((int(path.rpartition("/")[2]) for path in inventory.path), np.int64, len(inventory))
