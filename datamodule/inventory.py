"""The inventory: one row per image, and the command that writes it: `python -m datamodule.inventory DIR`."""

import csv
import hashlib
import io
from argparse import ArgumentParser
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from utils.files import write_whole

SEVERAL = "|"  # between the labels or values of one image

Rows = npt.NDArray[np.int64]
Words = npt.NDArray[np.object_]

SPLIT_NAMES = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
    "pool": ("pool", "unlabelled", "unlabeled"),
}
WORDS = ("path", "sha256", "label", "group", "split", "source", "first_seen")
NUMBERS = ("width", "height")
COLUMNS = ("path", "sha256", "width", "height", "label", "group", "split", "source", "first_seen")


@dataclass(frozen=True, eq=False)
class Inventory:
    """What is known of each image; columns of equal length, ordered by path.

    label: "" is unlabelled, several are joined by "|". group: "" or what must not straddle a split, such as a patient.
    split: train, val, test, pool (not yet labelled), or "" where a source leaves it to `datamodule.checks.settle`.
    width, height: pixels after EXIF rotation, 0 where the image cannot be read. first_seen: ISO date.
    classes: the names in order; a source lists those without an image too.
    """

    root: Path
    path: Words
    sha256: Words
    width: Rows
    height: Rows
    label: Words
    group: Words
    split: Words
    source: Words
    first_seen: Words
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.path)

    @cached_property
    def digest(self) -> str:
        """sha256 over the sorted `sha256<TAB>label` lines: the same images and labels, wherever they lie."""
        lines = sorted(f"{sha}\t{label}\n" for sha, label in zip(self.sha256, self.label, strict=True))
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def rows(self, split: str) -> Rows:
        """The row numbers of a split, ascending."""
        return np.flatnonzero(self.split == split)

    def codes(self) -> Rows:
        """Each row's class number, -1 where it has none."""
        numbers = {name: number for number, name in enumerate(self.classes)}
        return np.fromiter((numbers.get(label, -1) for label in self.label), np.int64, len(self))

    def take(self, rows: npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> "Inventory":
        """Only these rows (numbers or a mask), the same classes."""
        return replace(self, **{name: getattr(self, name)[rows] for name in COLUMNS})

    def write_csv(self, file: Path) -> None:
        """One line per image; root and class order are not written."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(zip(*(getattr(self, name).tolist() for name in COLUMNS), strict=True))
        write_whole(file, text.getvalue())


def inventory_of(root: Path, columns: Mapping[str, object], classes: Iterable[str]) -> Inventory:
    """Puts columns (sequences) into an inventory, ordered by path.

    A single string fills its column. path and sha256 must be there; first_seen defaults to today, others to "" or 0.
    """
    paths = list(columns["path"])  # type: ignore[call-overload]
    filled = {"first_seen": datetime.now(UTC).date().isoformat(), **columns}
    words = {name: _words(filled.get(name, ""), len(paths)) for name in WORDS}
    numbers = {name: _numbers(filled.get(name, 0), len(paths)) for name in NUMBERS}
    inventory = Inventory(root=root, classes=tuple(classes), **words, **numbers)  # type: ignore[arg-type]
    if all(first < second for first, second in pairwise(paths)):
        return inventory
    return inventory.take(np.asarray(sorted(range(len(paths)), key=paths.__getitem__), np.int64))


def _numbers(values: object, count: int) -> Rows:
    return np.full(count, values, np.int64)


def _words(values: object, count: int) -> Words:
    column = np.empty(count, object)
    column[:] = values
    return column


def legible(name: str) -> str:
    """A file's name as text that can be written anywhere: bytes that are not UTF-8 become \\xNN."""
    return name.encode(errors="surrogateescape").decode(errors="backslashreplace")


def split_named(name: str) -> str:
    """The split that a folder or a table calls `name`, "" for none."""
    return next((split for split, names in SPLIT_NAMES.items() if name.strip().lower() in names), "")


def read_csv(file: Path, root: Path | None = None, classes: Iterable[str] | None = None) -> Inventory:
    """The inventory that `write_csv` wrote; root defaults to the file's folder, classes to the sorted labels."""
    with file.open(newline="") as lines:
        header, *rows = csv.reader(lines)
    if tuple(header) != COLUMNS:
        raise ValueError(f"{file} is no inventory: its columns are {header}, not {list(COLUMNS)}")
    values = zip(*rows, strict=True) if rows else [()] * len(COLUMNS)
    columns = dict(zip(COLUMNS, values, strict=True))
    names = sorted(set(columns["label"]) - {""}) if classes is None else classes
    return inventory_of(root or file.parent, columns, names)


def main(arguments: Sequence[str] | None = None) -> None:
    """Scans, checks and splits a folder of images and writes its inventory."""
    from datamodule.checks import settle
    from datamodule.layout import scan_folder

    parser = ArgumentParser(prog="python -m datamodule.inventory", description=main.__doc__)
    parser.add_argument("folder", type=Path, help="DIR/<class>/*.jpg, or the same below train, val, test and pool")
    parser.add_argument("--output", type=Path, help="the CSV; default: DIR/inventory.csv")
    parser.add_argument("--val-share", type=float, default=0.15, help="of the images without a given split")
    parser.add_argument("--test-share", type=float, default=0.15, help="of the images without a given split")
    parser.add_argument("--salt", default="evergreen", help="another salt draws other splits")
    parser.add_argument("--on-bad-image", choices=("raise", "skip"), default="raise")
    parser.add_argument("--cache-dir", type=Path, default=Path(".cache"), help="where hashes are remembered")
    given = vars(parser.parse_args(arguments))
    folder, output = given.pop("folder").expanduser(), given.pop("output")
    try:
        inventory, _ = settle(scan_folder(folder, given["cache_dir"]), **given)
        inventory.write_csv(output or folder / "inventory.csv")
    except (ValueError, OSError) as error:
        parser.error(str(error))
    counts = ", ".join(f"{len(inventory.rows(split))} {split}" for split in SPLIT_NAMES)
    print(
        f"{len(inventory)} images of {len(inventory.classes)} classes ({counts}): {output or folder / 'inventory.csv'}"
    )


if __name__ == "__main__":
    main()
