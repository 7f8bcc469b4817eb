"""Images listed in a CSV file, with their labels or values and, where there are such columns, splits and groups."""

import logging
from pathlib import Path
from typing import Any, ClassVar

from datamodule.data import ImageData
from datamodule.fingerprints import hashed, look_up
from datamodule.heads import HeadTargets
from datamodule.inventory import SEVERAL, Inventory, inventory_of, split_named
from datamodule.readers import FileReader
from datamodule.stores import Reader
from datamodule.tables import lines_of
from datamodule.targets import Kind, is_number, parts

log = logging.getLogger(__name__)

Line = dict[str, str]
NUMBER = "\0"  # what a line keeps its own number by: no column is called so
TAB = "\\t"  # as a command line spells it
TRUTHS = {"1": True, "1.0": True, "true": True, "0": False, "0.0": False, "false": False}


class CsvFile(ImageData):
    """One line per image; an inventory's CSV is one such file.

    file: the list. root: what its paths start from, the file's folder by default. label_column null: no labels.
    Several labels of an image stand in one column, between separators (the separator alone: none of them), or, where
    label_column is a list, are a column of 1 and 0 (or true and false) each; values and the classes of several heads
    have a column each. An image whose cells are all empty is unlabelled.
    split_column, group_column: used where the file has them. separator, delimiter: \\t is a tab. options: of ImageData.
    """

    kinds: ClassVar[tuple[Kind, ...]] = ("classes", "heads", "labels", "values")
    place = "file"

    def __init__(
        self,
        file: str,
        root: str | None = None,
        path_column: str = "path",
        label_column: str | list[str] | None = "label",
        separator: str = SEVERAL,
        split_column: str = "split",
        group_column: str = "group",
        delimiter: str = ",",
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.file = Path(file).expanduser()
        self.root = self.file.parent if root is None else Path(root).expanduser()
        self.path_column = path_column
        self.separator, self.delimiter = _marks(separator, delimiter)
        self.columns = [label_column] if isinstance(label_column, str) else list(label_column or ())
        if len(set(self.columns)) < len(self.columns):
            raise ValueError(f"datamodule.label_column={self.columns} names a column twice; name each once")
        self.column_each = not isinstance(label_column, str)  # for each label
        if len(self.columns) > 1 and self.kind == "classes":
            raise ValueError(
                f"datamodule.label_column={self.columns}: a class has one column; several are task=multilabel, "
                "task=regression or, a class in each, task.num_classes={digit: 10, colour: 3}"
            )
        if self.heads is not None:
            self.columns, self.targets = list(self.heads), HeadTargets(self.heads)
        if self.kind == "values":
            self.columns = self._in_named_order()
        self.split_column, self.group_column = split_column, group_column

    def scan(self) -> Inventory:
        lines = self._lines() if self.on_bad_image == "raise" else self._there(self._lines())
        self._check_one_column(lines)
        found = look_up(self.root, [line[self.path_column] for line in lines])
        self._warn_of_values(lines)
        labels = [self._label([line[column].strip() for column in self.columns], line[NUMBER]) for line in lines]
        columns = {
            **hashed(self.root, found, Path(self.cache_dir), listed_by=self.file),
            "label": labels,
            "split": [self._split(line.get(self.split_column) or "") for line in lines],
            "group": [line.get(self.group_column) or "" for line in lines],
            "source": "csv",
        }
        return inventory_of(self.root, columns, self._names(labels))

    def reader(self, inventory: Inventory) -> Reader:
        return FileReader(inventory.root, inventory.path, self.channels)

    def _in_named_order(self) -> list[str]:
        """The columns of values as class_names orders them. Raises ValueError where these are only some of them."""
        named = self.class_names or []
        if not set(named) & set(self.columns):
            return self.columns  # none, or other names for them
        if sorted(named) != sorted(self.columns):
            raise ValueError(
                f"datamodule.class_names={named} are not the columns of datamodule.label_column={self.columns}: list "
                "the same in the order that you want, or leave class_names out"
            )
        return list(named)

    def _warn_of_values(self, lines: list[Line]) -> None:
        """Classes that are called 3.5 and 4.25 are more likely to be values."""
        told = (
            {line[self.columns[0]].strip() for line in lines} - {""} if self.kind == "classes" and self.columns else ()
        )
        if told and all(is_number(word) for word in told) and not all(float(word).is_integer() for word in told):
            log.warning("%s has %d classes that are numbers with decimals; if they are values, give task=regression",
                        self.file, len(told))  # fmt: skip

    def _check_one_column(self, lines: list[Line]) -> None:
        """Of labels: it holds names, or 1 and 0 where it stands in a list; the other way round is likely a mistake."""
        if self.kind != "labels" or len(self.columns) != 1:
            return
        [column] = self.columns
        told = sorted({cell for line in lines if (cell := line[column].strip())})
        truths = [cell for cell in told if cell.lower() in TRUTHS]
        if told and self.column_each and not truths:
            raise ValueError(
                f"datamodule.label_column=[{column}]: a list names columns of 1 and 0, but this one of {self.file} "
                f"has {told[0]!r}; names between {self.separator!r} are datamodule.label_column={column}"
            )
        if told and not self.column_each and truths == told:
            log.warning("%s has labels called %s; for one label %s, which an image has or not, give "
                        "datamodule.label_column=[%s]", self.file, " and ".join(told), column, column)  # fmt: skip

    def _label(self, cells: list[str], number: str) -> str:
        """A line's label as an inventory has it."""
        if not any(cells):
            return ""
        if isinstance(self.targets, HeadTargets):
            return self.targets.label(cells)
        if self.kind == "labels":
            told = zip(self.columns, cells, strict=True)
            found = [_named(*one, number) for one in told] if self.column_each else self._names_in(cells[0], number)
            return SEVERAL.join(dict.fromkeys(filter(None, found))) or SEVERAL
        return SEVERAL.join(self._split_up(cells[0]) if self.kind == "values" and len(cells) == 1 else cells)

    def _names_in(self, cell: str, number: str) -> list[str]:
        """The labels of a cell. Raises ValueError for one that would be taken for several later."""
        names = self._split_up(cell)
        if wrong := next((name for name in names if SEVERAL in name), None):
            raise ValueError(
                f"{self.file}: the label {wrong!r} in line {number} has a {SEVERAL}, which stands between labels "
                "wherever they are kept; write another sign"
            )
        return names

    def _split_up(self, cell: str) -> list[str]:
        return [part.strip() for part in cell.split(self.separator)]

    def _names(self, labels: list[str]) -> list[str]:
        """Of the classes, labels or targets, in their order."""
        if self.kind == "classes":
            return sorted({*labels} - {""})
        if isinstance(self.targets, HeadTargets):
            return self.targets.found(labels)
        if self.kind == "labels" and not self.column_each:
            return sorted({part for label in labels for part in parts(label)})
        width = max((len(label.split(SEVERAL)) for label in labels), default=1)
        if self.kind == "values" and len(self.columns) == 1 and width > 1:
            return [f"{self.columns[0]} {place + 1}" for place in range(width)]
        return self.columns

    def _lines(self) -> list[Line]:
        if not self.file.is_file():
            raise ValueError(f"datamodule.file={self.file} is no file; give a CSV with a line for each image")
        options = {"delimiter": self.delimiter, "restval": ""}
        with (
            self.file.open(newline="", encoding="utf-8-sig") as text,
            lines_of(text, f"datamodule.file={self.file}", **options) as table,
        ):
            header = list(table.fieldnames or [])
            if not header:
                raise ValueError(f"datamodule.file={self.file} is empty; give a CSV with a line for each image")
            wanted = [("path_column", self.path_column), *(("label_column", column) for column in self.columns)]
            for key, column in wanted:
                if column not in header:
                    other = next((sign for sign in ";\t|" if len(header) == 1 and sign in header[0]), None)
                    way_out = f"{key}" if other is None else f"delimiter='{other.replace(chr(9), TAB)}'"
                    raise ValueError(f"{self.file} has no column {column!r} but {header}; set datamodule.{way_out}")
            found = [line | {NUMBER: str(table.line_num)} for line in table]
        if not found:
            raise ValueError(
                f"datamodule.file={self.file} has a header and nothing below it; give a line for each image"
            )
        return found

    def _there(self, lines: list[Line]) -> list[Line]:
        """Those whose image is there."""
        absent = [path for line in lines if not (self.root / (path := line[self.path_column])).exists()]
        if absent:
            log.warning("left out %d of %d listed files, which are not below %s: %s", len(absent), len(lines),
                        self.root, ", ".join(absent[:5]))  # fmt: skip
        left_out = set(absent)
        return [line for line in lines if line[self.path_column] not in left_out]

    def _split(self, name: str) -> str:
        split = split_named(name)
        if name and not split:
            raise ValueError(f"{self.file} names a split {name!r}; use train, val, test or pool, or leave it empty")
        return split


def _marks(separator: str, delimiter: str) -> tuple[str, str]:
    """Both with their tabs. Raises ValueError for what cannot stand between two labels, or between two cells."""
    if not separator:
        raise ValueError("datamodule.separator is empty; give what stands between two labels, such as |")
    if len(told := delimiter.replace(TAB, "\t")) != 1 or told in '"\r\n':
        raise ValueError(f"datamodule.delimiter={delimiter}: give one character, such as ; or {TAB}")
    return separator.replace(TAB, "\t"), told


def _named(column: str, cell: str, number: str) -> str:
    """A label by its own column; what is neither yes nor no becomes a word that no label is, to be refused by file."""
    given = TRUTHS.get(cell.lower())
    if given is None:
        return f"{column}={cell!r} in line {number} (use 1, 0, true or false)"
    return column if given else ""
