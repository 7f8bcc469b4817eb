"""A folder of images: DIR/<class>/*.jpg, or the same below train, val, test and pool."""

from pathlib import Path
from typing import Any

from datamodule.data import ImageData
from datamodule.inventory import Inventory
from datamodule.layout import scan_folder
from datamodule.readers import FileReader
from datamodule.stores import Reader


class Folder(ImageData):
    """Images by their folders; deeper folders belong to their class, images outside of class folders are the pool.

    root: the folder. options: of ImageData.
    """

    place = "root"

    def __init__(self, root: str, **options: Any) -> None:
        super().__init__(**options)
        self.root = Path(root).expanduser()

    def scan(self) -> Inventory:
        return scan_folder(self.root, Path(self.cache_dir))

    def reader(self, inventory: Inventory) -> Reader:
        return FileReader(inventory.root, inventory.path, self.channels)
