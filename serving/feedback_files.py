"""Images that people corrected, in a folder with a CSV, as a training reads them."""

import csv
import fcntl
import hashlib
import io
import re
import time
from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from datamodule.decode import decode
from datamodule.heads import heads_in
from datamodule.inventory import SEVERAL
from serving.blobs import SHA256
from serving.feedback_labels import Settled
from utils.files import write_whole

FEEDBACK, IMAGES, TABLE, LOCK = "feedback", "images", "labels.csv", ".lock"
STRAY_SECONDS = 3600.0  # an image that no row names by then was left by a process that died
COMPRESSION = 3  # of a PNG: half the time of the usual 6 for a few per cent of size


class Shelf:
    """folder: of one endpoint."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, sha256: str) -> Path:
        """Of an image; only a sha256 names one."""
        if not re.fullmatch(SHA256, sha256):
            raise ValueError(f"{sha256[:80]!r} is no sha256")
        return self.folder / IMAGES / f"{sha256}.png"

    def put(self, content: bytes) -> str:
        """Keeps an image; its name."""
        sha256 = hashlib.sha256(content).hexdigest()
        if not self.path(sha256).is_file():
            write_whole(self.path(sha256), content)
        return sha256

    @contextmanager
    def held(self) -> Iterator[None]:
        """While nobody else writes the table, in any process."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / LOCK).open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def write(self, task: tuple[str, Sequence[str]], images: Sequence[Settled]) -> None:
        """The table: those that have a label, and the others without. task: with its classes."""
        heads = [head.name for head in heads_in(task[1])] if task[0] == "heads" else []
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["path", *(heads or ["label"]), "suggested"])
        for one in images:
            if self.path(one.file_sha256).is_file():
                writer.writerow([f"{IMAGES}/{one.file_sha256}.png", *_cells(one.label, len(heads)), one.suggested])
        write_whole(self.folder / TABLE, text.getvalue())

    def sweep(self, wanted: Set[str]) -> None:
        """Deletes images that nothing names, once they are old."""
        before = time.time() - STRAY_SECONDS
        for file in (self.folder / IMAGES).iterdir():
            if file.stem not in wanted and file.stat().st_mtime < before:
                file.unlink(missing_ok=True)


def _cells(label: str, heads: int) -> list[str]:
    """A label in one column, or those of several heads in one each."""
    if not heads:
        return [label]
    parts = [part.partition("=")[2] for part in label.split(SEVERAL)] if label else []
    return parts if len(parts) == heads else [""] * heads


def encoded(image: bytes) -> bytes:
    """The same pixels, upright, as a PNG that holds nothing else: no place, no camera, no time. Raises BadImage."""
    pixels = decode(image)
    stream = io.BytesIO()
    Image.fromarray(pixels.squeeze(2) if pixels.shape[2] == 1 else pixels).save(
        stream, "PNG", compress_level=COMPRESSION
    )
    return stream.getvalue()
