"""scikit-learn's handwritten digits: 1,797 gray images of 8 x 8 pixels, offline."""

import hashlib
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from datamodule.data import ImageData
from datamodule.decode import Pixels
from datamodule.inventory import Inventory, Rows, inventory_of
from datamodule.readers import ArrayReader, numbers
from datamodule.stores import Reader

TABLE = "datasets/data/digits.csv.gz"


class Digits(ImageData):
    """The default data set: trains in seconds, needs no network."""

    def scan(self) -> Inventory:
        pixels, labels = read_digits()
        columns = {
            "path": [f"{number:04d}" for number in range(len(pixels))],
            "sha256": [hashlib.sha256(image).hexdigest() for image in pixels],
            "width": np.full(len(pixels), 8),
            "height": np.full(len(pixels), 8),
            "label": [str(label) for label in labels],
            "source": "digits",
        }
        return inventory_of(Path("digits"), columns, map(str, range(10)))

    def reader(self, inventory: Inventory) -> Reader:
        return ArrayReader(read_digits()[0], numbers(inventory), self.channels)


def read_digits() -> tuple[Pixels, Rows]:
    """Images (1797, 8, 8, 1) and digits (1797,); read from the package's table, since its import costs a second."""
    package = find_spec("sklearn")
    assert package is not None and package.submodule_search_locations is not None
    table = np.loadtxt(Path(package.submodule_search_locations[0]) / TABLE, dtype=np.int64, delimiter=",")
    pixels = (table[:, :-1] * 255 // 16).astype(np.uint8).reshape(-1, 8, 8, 1)
    return pixels, table[:, -1]
