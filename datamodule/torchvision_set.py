"""torchvision's classification sets by name, downloaded where the network allows."""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from datamodule.cache_dir import recalled, writing_below
from datamodule.data import ImageData
from datamodule.decode import Pixels, to_pixels
from datamodule.fingerprints import find_images
from datamodule.inventory import Inventory, inventory_of
from datamodule.stores import Reader
from datamodule.torchvision_parts import Arguments, Pairs, classes_of, columns_of, open_parts
from utils.files import write_whole


class TorchvisionSet(ImageData):
    """A class of torchvision.datasets that gives pairs of an image and a class number.

    name: the class. root: where its files lie, or are put if `download`. arguments: of the class, beside root and part.
    Its own parts are kept: train and test, and val where it has one; else they are drawn. options: of ImageData.
    """

    def __init__(
        self,
        name: str,
        root: str = "data/torchvision",
        download: bool = True,
        arguments: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.set_name, self.root, self.download = name, Path(root).expanduser(), download
        self.arguments = dict(arguments or {})

    def scan(self) -> Inventory:
        """Reads all images the first time, afterwards only when a file below root has changed."""
        key = json.dumps([self.set_name, str(self.root.absolute()), self.arguments], sort_keys=True)
        memory = Path(self.cache_dir) / "torchvision" / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"
        known = recalled(memory, _is_told) or {}
        if known.get("files") != files_digest(self.root):
            parts = open_parts(self.set_name, self.root, self.arguments, self.download)
            columns, names = columns_of(parts), classes_of(parts)
            classes = names or sorted({*columns["label"]} - {""}, key=int)
            known = {"files": files_digest(self.root), "columns": columns, "classes": classes}
            with writing_below(Path(self.cache_dir)):
                write_whole(memory, json.dumps(known))
        return inventory_of(self.root, {**known["columns"], "source": f"torchvision {self.set_name}"}, known["classes"])

    def reader(self, inventory: Inventory) -> Reader:
        return PartsReader(self.set_name, self.root, self.arguments, inventory.path.tolist(), self.channels)


@dataclass(frozen=True)
class PartsReader:
    """Reads "train/000123"; each process opens the set once, when it first needs it."""

    name: str
    root: Path
    arguments: Arguments
    path: list[str]
    channels: int | None

    @cached_property
    def parts(self) -> dict[str, Pairs]:
        return open_parts(self.name, self.root, self.arguments, download=False)

    def __call__(self, row: int) -> Pixels:
        part, number = self.path[row].split("/")
        return to_pixels(self.parts[part][int(number)][0], self.channels)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "parts"}


def _is_told(known: Any) -> bool:
    return isinstance(known, dict) and isinstance(known.get("columns"), dict) and isinstance(known.get("classes"), list)


def files_digest(root: Path) -> str:
    """Changes with any file below root."""
    listing = find_images(root, suffixes=None) if root.is_dir() else ()
    return hashlib.sha256(json.dumps(listing).encode()).hexdigest()
