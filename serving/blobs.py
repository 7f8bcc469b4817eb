"""Content-addressed files: what a name says is what the file holds, whole or not at all, whatever dies."""

import errno
import fcntl
import os
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import IO
from uuid import uuid4

from serving.faults import step
from utils.files import sha256_file, sync_folder

SHA256 = r"[0-9a-f]{64}"
DIGITS = "64 digits of 0-9 and a-f"  # the same in words
BLOBS = "blobs"  # below the root of every store
DAY = 86_400.0
PIECE = 1 << 20  # bytes copied at a time


class WrongContent(ValueError):
    """What arrived is not what its name says."""


class WrongOffset(ValueError):
    """A piece that does not go on where the last one ended, or a second writer of the same part."""

    def __init__(self, offset: int, why: str) -> None:
        super().__init__(f"{why}; {offset} bytes are here")
        self.offset = offset


class Busy(ValueError):
    """Files are being copied or given up by somebody else."""


class Full(OSError):
    """No room is left on the disk."""


class Blobs:
    """Files below `root/blobs`, named by the sha256 of their content."""

    def __init__(self, root: Path) -> None:
        self.folder, self.parts, self.lock = root / BLOBS, root / "parts", root / "files.lock"
        for folder in (self.folder, self.parts):
            folder.mkdir(parents=True, exist_ok=True)

    def path(self, sha256: str) -> Path:
        """Where a blob lies or would lie; only a sha256 names one."""
        if not re.fullmatch(SHA256, sha256):
            raise ValueError(f"{sha256[:80]!r} is no sha256: {DIGITS} name a file")
        return self.folder / sha256[:2] / sha256

    def has(self, sha256: str) -> bool:
        return self.path(sha256).is_file()

    def size(self, sha256: str) -> int:
        return self.path(sha256).stat().st_size

    def touch(self, sha256: str) -> None:
        """Makes a blob young again: somebody is about to refer to it."""
        os.utime(self.path(sha256))

    def read(self, sha256: str) -> bytes:
        """A small blob's content; FileNotFoundError where there is none."""
        return self.path(sha256).read_bytes()

    def part(self, sha256: str, owner: str) -> "Part":
        """What one uploader has sent so far of a blob."""
        self.path(sha256)
        return Part(self, sha256, self.parts / f"{sha256}.{owner}")

    def put(self, content: bytes, sha256: str) -> None:
        """A small blob at once."""
        self.put_stream(BytesIO(content), len(content), sha256)

    def put_file(self, file: Path) -> str:
        """Takes a copy of a file in; answers its sha256."""
        sha256 = sha256_file(file)
        with file.open("rb") as source:
            self.put_stream(source, file.stat().st_size, sha256)
        return sha256

    def put_stream(self, source: IO[bytes], length: int, sha256: str) -> None:
        """Takes a stream in, unless its content is here."""
        if self.has(sha256):
            self.touch(sha256)
            return
        with self.part(sha256, f"own-{uuid4().hex[:12]}") as part:
            while piece := source.read(PIECE):
                part.write(piece)
            part.finish(length)

    @contextmanager
    def kept(self) -> Iterator[None]:
        """While nobody gives up files, in any process; waits for who does."""
        with self.lock.open("a+") as file:  # over NFS a shared lock is of a file that can be read
            fcntl.flock(file, fcntl.LOCK_SH)
            yield

    @contextmanager
    def given_up(self) -> Iterator[None]:
        """While nobody else keeps or gives up files, in any process. Raises Busy."""
        with self.lock.open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Busy("a backup is being made, or files are being given up: try again when it is done") from None
            yield

    def prune(self, wanted: Iterable[str], older_than: float = DAY) -> list[str]:
        """Deletes blobs that nothing refers to and parts that nobody goes on with, once they are old; their names."""
        kept, before = set(wanted), time.time() - older_than
        files = [*self.folder.glob("*/*"), *self.parts.iterdir()]
        gone = [file for file in files if file.name not in kept and file.stat().st_mtime < before]
        for file in gone:
            file.unlink(missing_ok=True)
        return sorted(file.name for file in gone)

    def corrupt(self, sha256: str) -> bool:
        """Whether a blob is missing or holds something else than its name says."""
        return not self.has(sha256) or sha256_file(self.path(sha256)) != sha256


class Part:
    """One growing file, held by one writer; it becomes the blob when it is whole and its content is right."""

    def __init__(self, blobs: Blobs, sha256: str, file: Path) -> None:
        self.blobs, self.sha256, self.path = blobs, sha256, file

    @property
    def offset(self) -> int:
        """Bytes that are here."""
        return self.path.stat().st_size if self.path.exists() else 0

    def held(self, offset: int) -> "Part":
        """This part, to be entered by who goes on exactly where it ends. Raises WrongOffset."""
        if offset != self.offset:
            raise WrongOffset(self.offset, f"the piece begins at {offset}")
        return self

    def __enter__(self) -> "Part":
        self._file = self.path.open("ab")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise WrongOffset(self.offset, "another request is writing this file") from None
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        try:
            self._file.close()
        except OSError as trouble:
            raise _full(trouble) from trouble

    def write(self, piece: bytes) -> None:
        try:
            self._file.write(piece)
        except OSError as error:
            raise _full(error) from error

    def keep(self) -> int:
        """Puts what has arrived on the disk; answers the bytes that are here."""
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise _full(error) from error
        return self.offset

    def finish(self, length: int) -> None:
        """The part becomes the blob. Raises WrongContent, and gives the part up, where it is not what its name says."""
        if (offset := self.keep()) != length:
            raise WrongOffset(offset, f"the file is not whole, {length} bytes were announced")
        step("part-synced")
        if (found := sha256_file(self.path)) != self.sha256:
            self.path.unlink(missing_ok=True)
            raise WrongContent(f"the content's sha256 is {found}, not {self.sha256}: send it again")
        place = self.blobs.path(self.sha256)
        if not place.parent.is_dir():
            place.parent.mkdir(exist_ok=True)
            sync_folder(self.blobs.folder)
        self.path.replace(place)
        step("blob-renamed")
        sync_folder(place.parent)
        step("blob-synced")


def _full(error: OSError) -> OSError:
    return Full(error.errno, "no room is left on the store's disk") if error.errno == errno.ENOSPC else error
