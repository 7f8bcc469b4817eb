"""The table of a benchmark: a CSV to which each finished measurement adds a line that outlives any crash."""

import csv
import fcntl
import logging
import os
from dataclasses import asdict, dataclass, fields, replace
from io import StringIO
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, get_args

log = logging.getLogger(__name__)

VERSION = 1  # of the columns and of what they mean


class Key(NamedTuple):
    """What makes two measurements the same one."""

    model: str
    engine: str
    precision: str
    batch: int
    size: str
    mode: str
    versions: str
    machine: str


@dataclass(frozen=True)
class Row:
    """One measurement, or why there is none. Times are of a call with a whole batch.

    precision: as asked for, computed_in: as read back. mode: inference, or training for a step with its update.
    macs, activations: of one image. peak_mib: of the process, or of the GPU's memory. error: empty where it worked.
    """

    model: str
    engine: str
    precision: str
    batch: int
    size: str  # height x width
    mode: str
    versions: str
    machine: str
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    images_per_s: float | None = None
    calls: int | None = None
    peak_mib: float | None = None
    disk_mib: float | None = None
    parameters: int | None = None
    macs: int | None = None
    activations: int | None = None
    computed_in: str = ""
    measured: str = ""  # UTC
    error: str = ""
    table: int = VERSION

    @property
    def key(self) -> Key:
        return Key(*(getattr(self, name) for name in Key._fields))

    @property
    def works(self) -> bool:
        return not self.error


COLUMNS = [field.name for field in fields(Row)]
HEADER = f"{','.join(COLUMNS)}\n".encode()
KINDS: dict[str, Any] = {field.name: field.type for field in fields(Row)}


class SpeedTable:
    """A CSV file of rows, held by one process at a time. Opened in a `with`.

    A line that a crash cut short is dropped. patient: waits for another process that writes it. Raises ValueError for a
    file of another version, one that cannot be written or, without patience, one in use.
    """

    def __init__(self, file: Path, patient: bool = False) -> None:
        self.file, self.patient = file, patient
        self.rows: dict[Key, Row] = {}

    def __enter__(self) -> "SpeedTable":
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            self.descriptor = os.open(self.file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            said = f"benchmark.file={self.file} cannot be written ({error.strerror}); name another place"
            raise ValueError(said) from error
        try:
            self._hold()
            self._drop_cut_line()
            self.rows = {row.key: row for row in read_rows(self.file)}
            if not os.fstat(self.descriptor).st_size:
                self._append(HEADER)
        except BaseException:
            os.close(self.descriptor)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        os.close(self.descriptor)

    def add(self, row: Row) -> None:
        """The row is on the disk when this returns; a former one of its key is superseded."""
        self._append(_line(row).encode())
        self.rows[row.key] = row

    def _append(self, waiting: bytes) -> None:
        while waiting:
            waiting = waiting[os.write(self.descriptor, waiting) :]
        os.fsync(self.descriptor)

    def _hold(self) -> None:
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if self.patient:
                log.info("%s is being written by another process: waiting for it", self.file)
                fcntl.flock(self.descriptor, fcntl.LOCK_EX)
                return
            raise ValueError(
                f"benchmark.file={self.file} is being written by another benchmark: name another file, or wait for it"
            ) from error

    def _drop_cut_line(self) -> None:
        """Only a newline ends a line, and no row holds one. Another file than a table is left as it is."""
        content = self.file.read_bytes()
        if HEADER.startswith(content[: len(HEADER)]):
            os.ftruncate(self.descriptor, content.rfind(b"\n") + 1)


def read_rows(file: Path) -> list[Row]:
    """The newest row of each key, in their order. Raises ValueError for a file of another version, naming the line."""
    with file.open(newline="", encoding="utf-8") as opened:
        reader = csv.reader(opened)
        try:
            columns = next(reader, COLUMNS)
            if columns != COLUMNS:
                raise ValueError(f"benchmark.file={file} {_foreign(columns)}: name another file")
            found = [_row(file, reader.line_num, cells) for cells in reader if cells]
        except (UnicodeDecodeError, csv.Error) as error:
            raise ValueError(
                f"benchmark.file={file} cannot be read after line {reader.line_num} ({error}): mend it, or name "
                "another file"
            ) from error
    return list({row.key: row for row in found}.values())


def _foreign(columns: list[str]) -> str:
    lacking, further = sorted(set(COLUMNS) - set(columns)), sorted(set(columns) - set(COLUMNS))
    told = [f"lacks {', '.join(lacking[:3])}"] if lacking else []
    told += [f"has {', '.join(further[:3])}"] if further else []
    return f"is no table of this version (it {' and '.join(told) or 'has its columns in another order'})"


def _row(file: Path, number: int, cells: list[str]) -> Row:
    try:
        if len(cells) != len(COLUMNS):
            raise ValueError(f"{len(cells)} cells in {len(COLUMNS)} columns")
        row = Row(**{name: _value(name, text) for name, text in zip(COLUMNS, cells, strict=True)})
    except (TypeError, ValueError) as error:
        raise ValueError(f"benchmark.file={file}, line {number} cannot be read ({error}): mend or remove it") from error
    if row.table != VERSION:
        raise ValueError(
            f"benchmark.file={file}, line {number} is of version {row.table}, this is {VERSION}: name another file"
        )
    return row


def _value(name: str, text: str) -> Any:
    kind = KINDS[name]
    if kind is str:
        return text
    if text == "" and type(None) in get_args(kind):
        return None
    number = next((one for one in (kind, *get_args(kind)) if one in (int, float)), float)
    return number(text)


def _line(row: Row) -> str:
    cells = asdict(replace(row, error=" ".join(row.error.split())))
    text = StringIO()
    csv.writer(text, lineterminator="\n").writerow(_cell(cells[name]) for name in COLUMNS)
    return text.getvalue()


def _cell(value: Any) -> Any:
    return f"{value:.6g}" if isinstance(value, float) else "" if value is None else value
