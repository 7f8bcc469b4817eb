"""Converted engines beside their model, kept until weights, conversion, version, precision or machine change."""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from serving.engines.engine import Engine, Maker
from serving.engines.source import Source
from utils.files import sha256_file, sync_folder, write_whole

CONVERSION = 2  # raised whenever this project converts a model into files that answer otherwise
FACTS = "engine.json"  # written last: what the engine is, and the sha256 of each of its files


def prepared(maker: Maker, source: Source) -> Engine:
    """The engine, from the cache where it is there and whole. Raises ValueError for what is missing, or EngineError."""
    if refusal := maker.refusal():
        raise ValueError(f"engine {maker.label} {refusal}")
    return maker.load(source, kept(maker, source) if maker.converts else source.folder)


def is_ready(maker: Maker, source: Source) -> bool:
    """Whether `prepared` need not convert anything."""
    return not maker.refusal() and (not maker.converts or is_whole(place(maker, source)))


def kept(maker: Maker, source: Source) -> Path:
    """The folder of the converted engine; makes it. One process at a time does, the others wait and find it."""
    folder = place(maker, source)
    if is_whole(folder):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _locked(folder.with_name(f"{folder.name}.lock")):
        if not is_whole(folder):
            _remove(folder.parent.glob(f"{folder.name}.*.part"))  # of processes that were killed
            _make(maker, source, folder)
    return folder


def identity(maker: Maker, source: Source) -> dict[str, Any]:
    """All that decides what the converted files hold."""
    return {"model": source.identity, "conversion": CONVERSION, "engine": maker.name, "version": maker.version(),
            "precision": maker.precision, "settings": maker.kept_apart_by(), "machine": maker.machine()}  # fmt: skip


def place(maker: Maker, source: Source) -> Path:
    key = hashlib.sha256(json.dumps(identity(maker, source), sort_keys=True).encode()).hexdigest()
    return source.engines / f"{maker.name}-{maker.precision}-{key[:12]}"


def is_whole(folder: Path) -> bool:
    """Whether each file is there as it was written."""
    try:
        files = json.loads((folder / FACTS).read_text())["files"]
    except (OSError, ValueError, KeyError):
        return False
    return all((folder / name).is_file() and sha256_file(folder / name) == digest for name, digest in files.items())


def size_bytes(folder: Path) -> int:
    """On disk."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _make(maker: Maker, source: Source, folder: Path) -> None:
    """Converts beside, syncs, renames: a reader sees all of it or nothing."""
    part = folder.with_name(f"{folder.name}.{uuid4().hex[:8]}.part")
    part.mkdir()
    try:
        maker.convert(source, part)
        files = {file.name: sha256_file(file) for file in sorted(part.iterdir())}
        for name in files:
            _sync(part / name)
        write_whole(part / FACTS, json.dumps(identity(maker, source) | {"files": files}, indent=2))
        _remove([folder])  # one that was damaged
        part.rename(folder)
    except BaseException:
        _remove([part])
        raise
    sync_folder(folder.parent)


def _sync(file: Path) -> None:
    with file.open("rb") as opened:
        os.fsync(opened.fileno())


def _remove(folders: Iterator[Path] | list[Path]) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Held by one process at a time; the kernel frees it when its holder is killed."""
    with file.open("w") as opened:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield
