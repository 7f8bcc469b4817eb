"""torchvision's classification sets by name, downloaded where the network allows."""

import hashlib
import inspect
import json
import operator
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from datamodule.cache_dir import writing_below
from datamodule.data import ImageData
from datamodule.decode import Pixels, to_pixels
from datamodule.fingerprints import find_images
from datamodule.inventory import Inventory, inventory_of
from datamodule.parallel import spread
from datamodule.stores import Reader
from utils.files import write_whole

PARTS = {"train": ("train", "trainval", "train-standard"), "val": ("val", "valid"), "test": ("test",)}
ARCHIVE = re.compile(r"https?://[^\s\"'{}]+|[\w.-]+\.(?:gz|zip|tgz|tar|bz2|mat|bin|h5|csv)\b")
CHUNK = 256
Arguments = dict[str, Any]


class Pairs(Protocol):
    """One part of a torchvision set: pairs of a Pillow image and a class number."""

    def __len__(self) -> int: ...
    def __getitem__(self, number: int) -> tuple[Image.Image, object]: ...


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
        self.name, self.root, self.download = name, Path(root).expanduser(), download
        self.arguments = dict(arguments or {})

    def scan(self) -> Inventory:
        """Hashes all pixels the first time, afterwards only when a file below root has changed."""
        key = json.dumps([self.name, str(self.root.absolute()), self.arguments], sort_keys=True)
        memory = Path(self.cache_dir) / "torchvision" / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"
        if not memory.exists() or json.loads(memory.read_bytes())["files"] != files_digest(self.root):
            opened = open_parts(self.name, self.root, self.arguments, self.download)
            columns, classes = columns_of(opened), classes_of(opened)
            known = {"files": files_digest(self.root), "columns": columns, "classes": classes}
            with writing_below(Path(self.cache_dir)):
                write_whole(memory, json.dumps(known))
        known = json.loads(memory.read_bytes())
        return inventory_of(self.root, {**known["columns"], "source": f"torchvision {self.name}"}, known["classes"])

    def reader(self, inventory: Inventory) -> Reader:
        return PartsReader(self.name, self.root, self.arguments, inventory.path.tolist(), self.channels)


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


def open_parts(name: str, root: Path, arguments: Arguments, download: bool) -> dict[str, Pairs]:
    """The set's parts by split; one that knows no parts is all "all". Raises ValueError where it cannot be had."""
    from torchvision import datasets

    kind = getattr(datasets, name, None)
    if not inspect.isclass(kind) or "download" not in (known := parameters(kind)) and "root" in known:
    	raise ValueError(name)
    return {}
