"""Images listed in a CSV file, with their labels and, where there are such columns, their splits and groups."""

import csv
from pathlib import Path
from typing import Any

from datamodule.data import ImageData
from datamodule.fingerprints import hashed, look_up
from datamodule.inventory import Inventory, inventory_of, split_named
from datamodule.readers import FileReader
from datamodule.stores import Reader


class CsvFile(ImageData):
    """One line per image; an inventory's CSV is one such file.

    file: the list. root: what its paths start from, the file's folder by default. label_column null: no labels.
    split_column, group_column: used where the file has them. options: of ImageData.
    """

    def __init__(
        self,
        file: str,
        root: str | None = None,
        path_column: str = "path",
        label_column: str | None = "label",
        split_column: str = "split",
        group_column: str = "group",
        delimiter: str = ",",
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.file = Path(file).expanduser()
        self.root = self.file.parent if root is None else Path(root).expanduser()
        self.path_column, self.label_column = path_column, label_column
        self.split_column, self.group_column = split_column, group_column
        self.delimiter = delimiter

    def scan(self) -> Inventory:
        lines = self._lines()
        found = look_up(self.root, [line[self.path_column] for line in lines])
        labels = [line[self.label_column].strip() if self.label_column else "" for line in lines]
        columns = {
            **hashed(self.root, found, Path(self.cache_dir), listed_by=self.file),
            "label": labels,
            "split": [self._split(line.get(self.split_column) or "") for line in lines],
            "group": [line.get(self.group_column) or "" for line in lines],
            "source": "csv",
        }
        return inventory_of(self.root, columns, sorted({*labels} - {""}))

    def reader(self, inventory: Inventory) -> Reader:
        return FileReader(inventory.root, inventory.path, self.channels)

    def _lines(self) -> list[dict[str, str]]:
        if not self.file.is_file():
            raise ValueError(f"datamodule.file={self.file} is no file; give a CSV with a line for each image")
        with self.file.open(newline="", encoding="utf-8-sig") as text:
            table = csv.DictReader(text, delimiter=self.delimiter, restval="")
            header = list(table.fieldnames or [])
            for key, column in (("path_column", self.path_column), ("label_column", self.label_column)):
                if column is not None and column not in header:
                    raise ValueError(f"{self.file} has no column {column!r} but {header}; set datamodule.{key}")
            return list(table)

    def _split(self, name: str) -> str:
        split = split_named(name)
        if name and not split:
            raise ValueError(f"{self.file} names a split {name!r}; use train, val, test or pool, or leave it empty")
        return split
