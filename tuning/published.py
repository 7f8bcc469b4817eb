"""Accuracies that timm publishes, joined to measured speeds: its names carry a tag of the weights."""

import csv
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tuning.speed_table import Row

# The first columns of results/results-imagenet.csv in timm's repository (Apache 2.0), of August 2026.
OWN = Path(__file__).with_name("accuracies.csv")
PATIENCE_S = 5.0
NEEDED = ("model", "img_size", "top1")


@dataclass(frozen=True)
class Published:
    """name: architecture.tag. size: pixels, of one side. top1: per cent."""

    name: str
    size: int
    top1: float


@dataclass(frozen=True)
class Joined:
    """A measurement with the accuracy of the best weights that were evaluated at its image size, or nearest to it."""

    row: Row
    published: Published | None

    @property
    def top1(self) -> float | None:
        return self.published.top1 if self.published else None

    @property
    def of_size(self) -> int | None:
        """Pixels at which the accuracy was measured, where that is not the size of this row."""
        if self.published is None or self.published.size == _longer_side(self.row):
            return None
        return self.published.size


def published(place: str | None) -> list[Published]:
    """place: a path, a URL, auto for the table that lies here, or None. Raises ValueError."""
    if place is None:
        return []
    if place == "auto":
        return parsed(OWN.read_text(), str(OWN))
    content = _fetched(place) if place.startswith(("http://", "https://")) else _read(Path(place).expanduser())
    return parsed(content, place)


def _fetched(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:
            return str(answer.read().decode())
    except (urllib.error.URLError, OSError) as error:
        raise ValueError(
            f"{url} cannot be fetched ({error}); give a copy of timm's results-imagenet.csv: benchmark.published=FILE"
        ) from error


def _read(file: Path) -> str:
    if not file.is_file():
        raise ValueError(
            f"benchmark.published={file}: there is no such file; timm's own is results/results-imagenet.csv"
        )
    return file.read_text()


def parsed(content: str, place: str) -> list[Published]:
    """Raises ValueError for another table."""
    reader = csv.DictReader(content.splitlines())
    if lacking := [name for name in NEEDED if name not in (reader.fieldnames or ())]:
        raise ValueError(
            f"benchmark.published={place} has no column {', '.join(lacking)}: it is not a table of timm's results/"
        )
    return [_of_line(row, number, place) for number, row in enumerate(reader, 2)]


def _of_line(row: dict[str, str], number: int, place: str) -> Published:
    try:
        return Published(row["model"], int(row["img_size"]), float(row["top1"]))
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"benchmark.published={place}, line {number} cannot be read ({error}): mend or remove it"
        ) from error


def joined(rows: Iterable[Row], known: Sequence[Published]) -> list[Joined]:
    """Every row, with an accuracy where there is one (left join)."""
    by_architecture = defaultdict(list)
    for one in known:
        by_architecture[one.name.partition(".")[0]].append(one)
    return [Joined(row, best(row, by_architecture)) for row in rows]


def best(row: Row, by_architecture: Mapping[str, Sequence[Published]]) -> Published | None:
    """Of the row's architecture, or of its tag where the row names one."""
    base, _, tag = row.model.partition(".")
    mine = [one for one in by_architecture.get(base, ()) if not tag or one.name == row.model]
    size = _longer_side(row)
    return min(mine, key=lambda one: (abs(one.size - size), -one.top1), default=None)


def _longer_side(row: Row) -> int:
    return max(map(int, row.size.split("x")))
