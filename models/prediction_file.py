"""The table of answers: it grows beside its place, outlives a kill, and appears under its name once it is whole."""

import csv
import fcntl
import hashlib
import importlib.util
import io
import json
import logging
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from datamodule.locations import Image, file_system
from models.rendering import Columns
from utils.files import sync_folder, write_whole

log = logging.getLogger(__name__)

JOURNAL_EVERY_S = 1.0  # what a kill may cost; each entry waits for the disk


@dataclass(frozen=True)
class Entry:
    """What of the part file counts: its first `size` bytes, the answers for `images` images."""

    configuration: str  # digest of all that decides the answers
    images: int
    size: int
    names: str  # sha256 of these images' names, in order
    failed: int


class PredictionFile:
    """`NAME.part`, a CSV, and `NAME.journal`, which says how much of it counts; a context that closes both.

    output: a path, or a URL, whose part and journal lie below cache_dir. configuration: of what is answered; an
    unfinished file of an equal one goes on. Raises ValueError where it cannot be written or another process writes it.
    """

    def __init__(self, output: str, columns: Columns, configuration: str, cache_dir: str) -> None:
        self.output, self.columns, self.configuration = output, columns, configuration
        self.files, self.target = file_system(output)
        self.local = "file" in self.files.protocol
        place = Path(self.target) if self.local else waiting_place(output, cache_dir)
        self.part, self.journal = (place.with_name(f"{place.name}.{suffix}") for suffix in ("part", "journal"))
        _require_writer(output)
        self._open()
        self.images = self.failed = self.resumed = 0
        self.names, self.noted_s = hashlib.sha256(), 0.0

    def __enter__(self) -> "PredictionFile":
        return self

    def __exit__(self, *_: object) -> None:
        """What has been answered is kept, whatever happened."""
        if not self.file.closed:
            self._note()
            self.file.close()

    def rest(self, images: Iterable[Image]) -> Iterator[Image]:
        """The images that an unfinished file of the same configuration has not answered; all of them without one."""
        earlier, left = self._earlier(), iter(images)
        if earlier is not None:
            self._count(islice(left, earlier.images))
            if self.names.hexdigest() == earlier.names:
                return self._after(earlier, left)
            log.info("the images are others than before the interruption: starting anew")
        self._begin()
        return iter(images)

    def _after(self, earlier: Entry, left: Iterator[Image]) -> Iterator[Image]:
        self.images = self.resumed = earlier.images
        self.failed = earlier.failed
        self.file.truncate(earlier.size)
        log.info("going on after the %d images that were answered before the interruption", earlier.images)
        return left

    def append(self, images: Sequence[Image], rows: Sequence[Sequence[str]], failed: int) -> None:
        """The answers for the next images; a row for each, or fewer where images are left out."""
        self.file.write(_lines(rows))
        self._count(images)
        self.images, self.failed = self.images + len(images), self.failed + failed
        if time.monotonic() - self.noted_s > JOURNAL_EVERY_S:
            self._note()

    def finish(self) -> None:
        """Puts the whole table under its name and removes what made it."""
        self._note()
        whole = self._as_parquet() if self.output.lower().endswith(".parquet") else self.part
        if self.local:
            whole.replace(self.target)
            sync_folder(Path(self.target).parent)
        else:
            self.files.put_file(str(whole), self.target)
        self.file.close()
        for file in (self.part, whole, self.journal):
            file.unlink(missing_ok=True)

    def _open(self) -> None:
        try:
            self.part.parent.mkdir(parents=True, exist_ok=True)
            if self.local and Path(self.target).is_dir():
                raise IsADirectoryError(0, "is a folder")
            self.file = self.part.open("ab+")
        except OSError as error:
            said = f"output={self.output} cannot be written ({error.strerror}); name another place"
            raise ValueError(said) from error
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self.file.close()
            said = f"output={self.output} is being written by another process; wait, or name another"
            raise ValueError(said) from error

    def _earlier(self) -> Entry | None:
        """The progress of an unfinished file of this configuration whose bytes are all there."""
        try:
            found = Entry(**json.loads(self.journal.read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None
        fits = found.configuration == self.configuration and found.size <= self.part.stat().st_size
        if not fits:
            log.info("what was left unfinished had other settings or another model: starting anew")
        return found if fits else None

    def _begin(self) -> None:
        self.names = hashlib.sha256()
        self.file.truncate(0)
        self.file.write(_lines([["path", *self.columns, "error"]]))

    def _count(self, images: Iterable[Image]) -> None:
        for image in images:
            self.names.update(image.name.encode(errors="backslashreplace") + b"\n")

    def _note(self) -> None:
        """Data first, then what says that they count."""
        self.file.flush()
        os.fsync(self.file.fileno())
        size = self.file.tell()
        entry = Entry(self.configuration, self.images, size, self.names.hexdigest(), self.failed)
        write_whole(self.journal, json.dumps(asdict(entry)))
        self.noted_s = time.monotonic()

    def _as_parquet(self) -> Path:
        """The part as Parquet, written block by block; an empty field is a null."""
        pyarrow, parquet, reading = (
            importlib.import_module(name) for name in ("pyarrow", "pyarrow.parquet", "pyarrow.csv")
        )
        kinds: dict[type, Any] = {str: pyarrow.string(), float: pyarrow.float64()}
        types = {name: kinds[kind] for name, kind in {"path": str, **self.columns, "error": str}.items()}
        whole = self.part.with_name(self.part.name.removesuffix(".part") + ".whole.part")
        lines = reading.open_csv(
            self.part,
            parse_options=reading.ParseOptions(newlines_in_values=True),
            convert_options=reading.ConvertOptions(column_types=types, strings_can_be_null=True, null_values=[""]),
        )
        with parquet.ParquetWriter(whole, lines.schema) as table:
            for block in lines:
                table.write_batch(block)
        return whole


def waiting_place(url: str, cache_dir: str) -> Path:
    """Where on this machine the answers for a URL are gathered."""
    return Path(cache_dir).absolute() / "predictions" / hashlib.sha256(url.encode()).hexdigest()[:16]


def _lines(rows: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode(errors="backslashreplace")


def _require_writer(output: str) -> None:
    if output.lower().endswith(".parquet") and importlib.util.find_spec("pyarrow") is None:
        raise ValueError(f"output={output} needs pyarrow: pip install pyarrow; or let its name end in .csv")
