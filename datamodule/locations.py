"""Where unlabelled images lie: a folder tree, a glob, a CSV of paths or one file; local or at any URL of fsspec."""

import csv
import io
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Any, Literal, NamedTuple

from fsspec.core import split_protocol, url_to_fs
from fsspec.spec import AbstractFileSystem
from fsspec.utils import glob_translate

from datamodule.decode import SUFFIXES
from datamodule.inventory import legible
from datamodule.tables import lines_of

PATH_COLUMN = "path"
LOCAL = (None, "file", "local")
MAGIC = re.compile(r"[*?\[]")
PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs", "az": "adlfs"}


class Image(NamedTuple):
    """name: what a user calls it. address: where it is read, an absolute path or a URL."""

    name: str
    address: str


@dataclass(frozen=True)
class Location:
    """Images in an order that repeats, found while they are asked for: only one folder's names are held at a time.

    A folder gives the images below it, named from there; hidden files and other suffixes are left out. A glob (`*`,
    `?`, `[ab]`, `**`) gives every file that it matches. A CSV gives its column `path`, seen from the CSV's own folder.
    """

    source: str
    kind: Literal["folder", "glob", "list", "file"]
    files: AbstractFileSystem
    path: str  # of the file, the folder, or the folder that a glob starts from, as `files` calls it

    def __iter__(self) -> Iterator[Image]:
        return {"folder": self._tree, "glob": self._matching, "list": self._listed, "file": self._alone}[self.kind]()

    @property
    def root(self) -> str:
        """The address of the folder or file; a local one with links resolved."""
        return os.path.realpath(self.path) if _is_local(self.files) else self._address(self.path)

    @property
    def accepted(self) -> str:
        """What would have been an image here."""
        if self.kind == "folder":
            return f"files ending in {', '.join(sorted(SUFFIXES))} are"
        return {"glob": "no file fits the pattern", "list": "it lists none", "file": ""}[self.kind]

    def _tree(self) -> Iterator[Image]:
        start = len(self.path.rstrip("/")) + 1
        for path in _walk(self.files, self.path):
            if PurePosixPath(path).suffix.lower() in SUFFIXES:
                yield Image(legible(path[start:]), self._address(path))

    def _matching(self) -> Iterator[Image]:
        base, pattern = split_glob(self.source)
        fits, start = re.compile(glob_translate(pattern)), len(self.path.rstrip("/")) + 1
        for path in _walk(self.files, self.path, None if "**" in pattern else pattern.count("/") + 1):
            if fits.match(path[start:]):
                yield Image(legible(base + path[start:]), self._address(path))

    def _listed(self) -> Iterator[Image]:
        folder = self._address(self.path).rpartition("/")[0]
        with self.files.open(self.path, "rb") as file:
            text = io.TextIOWrapper(file, "utf-8-sig", newline="")
            with lines_of(text, f"source={self.source}") as lines:
                self._check(lines)
                for line in lines:
                    name = line[PATH_COLUMN] or ""
                    yield Image(name, name if _is_absolute(name) else f"{folder}/{name}")

    def _check(self, lines: "csv.DictReader[str]") -> None:
        if PATH_COLUMN not in (found := list(lines.fieldnames or [])):
            raise ValueError(f"source={self.source} has no column {PATH_COLUMN!r} but {found[:8]}; name one so")

    def _alone(self) -> Iterator[Image]:
        yield Image(self.source, self._address(self.path))

    def _address(self, path: str) -> str:
        return path if _is_local(self.files) else str(self.files.unstrip_protocol(path))


def locate(source: str) -> Location:
    """What lies at a path or URL. Raises ValueError where there is nothing, or where a package for it is missing."""
    files, path = file_system(source)
    if files.isfile(path):
        return Location(source, "list" if path.lower().endswith(".csv") else "file", files, path)
    if files.isdir(path):
        return Location(source, "folder", files, path)
    if MAGIC.search(source) and files.isdir(folder := file_system(split_glob(source)[0] or ".")[1]):
        return Location(source, "glob", files, folder)
    raise ValueError(f"source={source}: there is no such file or folder; give a folder, a glob, a CSV or an image")


def is_url(place: str) -> bool:
    """Whether a place is reached by a protocol other than the local files'."""
    return split_protocol(place)[0] not in LOCAL


def file_system(url: str) -> tuple[AbstractFileSystem, str]:
    """Who reads a path or URL, and what it calls it. Raises ValueError for an unknown or uninstalled protocol."""
    protocol = split_protocol(url)[0]
    options: dict[str, Any] = {} if protocol in LOCAL else {"use_listings_cache": False}  # it would grow with the files
    try:
        return url_to_fs(url, **options)
    except ImportError as error:
        package = PACKAGES.get(str(protocol), str(error.name or protocol))
        raise ValueError(f"{url}: {protocol}:// needs {package}: pip install {package}") from error


def contents(addresses: Sequence[str]) -> list[bytes | str]:
    """Each address's bytes, or in words why it cannot be read; those of one remote system are fetched at once."""
    found: list[bytes | str] = []
    for protocol, group in groupby(addresses, lambda address: split_protocol(address)[0]):
        read = _contents if protocol in LOCAL else _fetched
        found += read(list(group))
    return found


def _contents(addresses: list[str]) -> list[bytes | str]:
    return [_content(address) for address in addresses]


def _content(address: str) -> bytes | str:
    try:
        return Path(address.removeprefix("file://").removeprefix("local://")).read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        return _reason(error)


def _fetched(addresses: list[str]) -> list[bytes | str]:
    places = [file_system(address) for address in addresses]
    found = places[0][0].cat_ranges([path for _, path in places], None, None, on_error="return")
    return [_reason(data) if isinstance(data, Exception) else data for data in found]


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "is not there"
    said = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
    return f"cannot be read: {said}"


def split_glob(pattern: str) -> tuple[str, str]:
    """The folder before the first wildcard, with its slash, and the rest."""
    first = MAGIC.search(pattern)
    cut = pattern.rfind("/", 0, first.start() if first else None) + 1
    return pattern[:cut], pattern[cut:]


def _walk(files: AbstractFileSystem, folder: str, depth: int | None = None) -> Iterator[str]:
    """Paths of all files below a folder that are not hidden, by name, depth first; a folder met again is left out."""
    local, seen = _is_local(files), set[str]()

    def below(folder: str, depth: int | None) -> Iterator[str]:
        if local:
            real = os.path.realpath(folder)
            if real in seen:
                return
            seen.add(real)
        for path, is_folder in _local_entries(folder) if local else _entries(files, folder):
            if not is_folder:
                yield path
            elif depth is None or depth > 1:
                yield from below(path, depth and depth - 1)

    return below(folder, depth)


def _local_entries(folder: str) -> list[tuple[str, bool]]:
    with os.scandir(folder or "/") as entries:
        visible = [entry for entry in entries if not entry.name.startswith(".")]
    parent = folder.rstrip("/")
    return sorted((f"{parent}/{entry.name}", entry.is_dir()) for entry in visible)


def _entries(files: AbstractFileSystem, folder: str) -> list[tuple[str, bool]]:
    """Without the folder itself, which a store of objects may list as an empty object."""
    listed = {entry["name"].rstrip("/"): entry["type"] == "directory" for entry in files.ls(folder, detail=True)}
    listed.pop(folder.rstrip("/"), None)
    return sorted(entry for entry in listed.items() if not entry[0].rpartition("/")[2].startswith("."))


def _is_local(files: AbstractFileSystem) -> bool:
    return "file" in files.protocol


def _is_absolute(name: str) -> bool:
    return name.startswith("/") or split_protocol(name)[0] is not None
