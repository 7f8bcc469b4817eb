"""Content hashes of files, remembered: what has the same size, time and inode as the last time is not read again."""

import hashlib
import json
import os
import stat
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from datamodule.cache_dir import writing_below
from datamodule.decode import SUFFIXES, BadImage, read_header
from datamodule.parallel import spread
from utils.files import write_whole

CHUNK = 64
RACY_NS = 1_000_000_000  # a file as young as this may change again within its timestamp's resolution


class Listing(NamedTuple):
    """Files below a root, in columns: path from there with forward slashes, bytes, time of change in ns, inode."""

    path: list[str]
    size: list[int]
    mtime_ns: list[int]
    inode: list[int]

    def add(self, path: str, status: os.stat_result) -> None:
        self.path.append(path)
        self.size.append(status.st_size)
        self.mtime_ns.append(status.st_mtime_ns)
        self.inode.append(status.st_ino)


class Prints(NamedTuple):
    """Their contents, in columns: sha256, size in pixels (0, 0 where it is no readable image), day first seen."""

    sha256: list[str]
    width: list[int]
    height: list[int]
    first_seen: list[str]


def find_images(root: Path, suffixes: frozenset[str] | None = SUFFIXES) -> Listing:
    """All files below `root` with one of these suffixes (None: any), not the hidden ones; links are followed."""
    listing, waiting, seen = Listing([], [], [], []), [("", root)], set()
    while waiting:
        prefix, folder = waiting.pop()
        identity = folder.stat()
        if (identity.st_dev, identity.st_ino) in seen:
            continue
        seen.add((identity.st_dev, identity.st_ino))
        for entry in _entries(folder):
            if entry.is_dir():
                waiting.append((f"{prefix}{entry.name}/", Path(entry.path)))
            elif suffixes is None or "." + entry.name.rpartition(".")[2].lower() in suffixes:
                listing.add(prefix + entry.name, entry.stat())
    return listing


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name)


def look_up(root: Path, paths: Sequence[str]) -> Listing:
    """The same of listed files. Raises ValueError naming those that are missing."""
    listing, missing = Listing([], [], [], []), []
    for path in paths:
        try:
            status = (root / path).stat()
        except (FileNotFoundError, NotADirectoryError):
            missing.append(path)
            continue
        if not stat.S_ISREG(status.st_mode):
            raise ValueError(f"{path!r} below {root} is no file; list images only")
        listing.add(path, status)
    if missing:
        said = f"{len(missing)} of {len(paths)} listed files are not below {root}: {', '.join(missing[:5])}"
        raise ValueError(f"{said}; mend the list or datamodule.root, or set datamodule.on_bad_image=skip")
    return listing


def hashed(root: Path, listing: Listing, cache_dir: Path, listed_by: Path | None = None) -> dict[str, object]:
    """The inventory columns path, sha256, width, height and first_seen of these files below `root`.

    Only new and changed files are read. What was learned is kept below cache_dir, by root or by what lists its files.
    """
    name = hashlib.sha256(str((listed_by or root).resolve()).encode()).hexdigest()[:16]
    memory = cache_dir / "fingerprints" / f"{name}.json"
    known, prints = _recall(memory)
    if known != listing:
        prints = _renewed(root, listing, known, prints)
        with writing_below(cache_dir):
            _remember(memory, listing, prints)
    return {"path": listing.path, **prints._asdict()}


def _renewed(root: Path, listing: Listing, known: Listing, prints: Prints) -> Prints:
    contents = dict(zip(zip(*known, strict=True), zip(*prints, strict=True), strict=True))
    files = list(zip(*listing, strict=True))
    today, first_seen = datetime.now(UTC).date().isoformat(), dict(zip(known.path, prints.first_seen, strict=True))
    read = _read_all(root, [file[0] for file in files if file not in contents])
    found = [contents.get(file) or (*next(read), first_seen.get(file[0], today)) for file in files]
    return Prints(*map(list, zip(*found, strict=True))) if found else Prints([], [], [], [])


def _read_all(root: Path, paths: Sequence[str]) -> Iterator[tuple[str, int, int]]:
    chunks = [paths[start : start + CHUNK] for start in range(0, len(paths), CHUNK)]
    for read in spread(lambda chunk: [_read(root / path) for path in chunk], chunks, f"hashing {root.name}", len):
        yield from read


def _read(file: Path) -> tuple[str, int, int]:
    data = file.read_bytes()
    try:
        width, height, _ = read_header(data)
    except BadImage:
        width, height = 0, 0
    return hashlib.sha256(data).hexdigest(), width, height


def _recall(memory: Path) -> tuple[Listing, Prints]:
    try:
        columns = json.loads(memory.read_bytes())
        return Listing(*(columns[name] for name in Listing._fields)), Prints(
            *(columns[name] for name in Prints._fields)
        )
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return Listing([], [], [], []), Prints([], [], [], [])


def _remember(memory: Path, listing: Listing, prints: Prints) -> None:
    """All but what is too young to be trusted."""
    settled = time.time_ns() - RACY_NS
    rows = [row for row, changed in enumerate(listing.mtime_ns) if changed < settled]
    columns = {**listing._asdict(), **prints._asdict()}
    write_whole(memory, json.dumps({name: [column[row] for row in rows] for name, column in columns.items()}))
