"""Every image is decoded once: the pixels lie in RAM or on disk, or are streamed where neither has room."""

import fcntl
import hashlib
import json
import logging
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from datamodule.blocks import Blocks, build, is_sound, load, read_blocks
from datamodule.cache_dir import recalled, writing_below
from datamodule.checks import OnBadImage, Skipped, leave_out
from datamodule.decode import BadImage
from datamodule.inventory import Inventory, Rows
from datamodule.memory import free_memory
from datamodule.parallel import spread
from datamodule.readers import decoding
from datamodule.reuse import reusing
from datamodule.stores import ImageStore, InRam, OnDisk, Pixelled, Reader, Streamed, Transform
from utils.files import write_whole

log = logging.getLogger(__name__)

Mode = Literal["auto", "ram", "disk", "stream"]
RAM_SHARE, DISK_SHARE = 0.5, 0.9
SAMPLED_BLOCKS = 16  # checked of a cache that stays on the disk
CHUNK = 64


@dataclass(frozen=True)
class Choice:
    """Where the pixels lie, and why."""

    mode: Literal["ram", "disk", "stream"]
    why: str


def open_store(
    inventory: Inventory,
    transform: Transform,
    reader: Reader,
    cache_dir: Path,
    *,
    rows: Rows | None = None,
    mode: Mode = "auto",
    on_bad_image: OnBadImage = "raise",
) -> ImageStore:
    """The images of `rows` (None: all) after `transform`, built once and found again by content and transform.

    reader: inventory row → (H, W, C) uint8, called by several threads. mode "auto" takes RAM, else disk, else streams,
    and logs which. A damaged cache is built anew. Images that cannot be decoded raise BadImage, all named (streaming
    meets them in the first epoch); with on_bad_image="skip" they lie in the store's `bad`, for `without_bad`.
    Raises OSError where the cache cannot be written.
    """
    rows = np.arange(len(inventory)) if rows is None else rows
    reader = decoding(reader, transform)
    file = cache_dir / "pixels" / f"{_key(inventory, rows, transform)}.u8"
    empty = Blocks(len(rows), transform.shape, transform.key)
    with writing_below(cache_dir):
        choice = choose(mode, empty.nbytes, read_blocks(file) is not None, cache_dir)
        log.info("%d images of %s: %s", len(rows), " x ".join(map(str, transform.shape)), choice.why)
        if choice.mode == "stream":
            source: Pixelled = Streamed(reader, transform, inventory.path)
            places, bad = rows, _undecodable(file, rows, reader, transform) if on_bad_image == "skip" else {}
        else:
            contents = inventory.sha256[rows].tolist()
            source, blocks = _cached(file, empty, contents, lambda place: transform(reader(int(rows[place]))), choice)
            places, bad = np.arange(len(rows)), {int(rows[place]): reason for place, reason in blocks.bad}
    if on_bad_image == "raise":
        leave_out(inventory, bad, on_bad_image)
    position = np.full(len(inventory), -1, np.int64)
    position[rows] = places
    return ImageStore(transform.shape, position, source, bad)


def without_bad(
    inventory: Inventory, stores: Sequence[ImageStore], on_bad_image: OnBadImage
) -> tuple[Inventory, list[ImageStore], Skipped]:
    """Inventory and stores without the images that could not be decoded, numbered alike; (file, reason) of those."""
    bad = {row: reason for store in stores for row, reason in store.bad.items()}
    left, skipped = leave_out(inventory, bad, on_bad_image)
    kept = np.setdiff1d(np.arange(len(inventory)), np.fromiter(bad, np.int64, len(bad)))
    return left, [store.take(kept) for store in stores], skipped


def choose(mode: Mode, nbytes: int, exists: bool, cache_dir: Path) -> Choice:
    """RAM for pixels of up to half of what is free, else the disk for up to nine tenths of its room, else neither."""
    ram, disk = free_memory(), _free_disk(cache_dir)
    room = f"{_size(nbytes)}, free are {_size(ram)} of RAM and {_size(disk)} of disk"
    if mode != "auto":
        return Choice(mode, f"{mode} as asked for ({room})")
    if not exists and nbytes > DISK_SHARE * disk:
        return Choice("stream", f"decoded in every epoch ({room})")
    if nbytes > RAM_SHARE * ram:
        return Choice("disk", f"read from the disk ({room})")
    return Choice("ram", f"kept in RAM ({room})")


def _key(inventory: Inventory, rows: Rows, transform: Transform) -> str:
    contents = "\n".join([transform.key, *inventory.sha256[rows]])
    return hashlib.sha256(contents.encode()).hexdigest()[:24]


def _cached(file: Path, empty: Blocks, contents: list[str], produce: Reader, choice: Choice) -> tuple[Pixelled, Blocks]:
    found = _found(file, choice)
    if found is None:
        with _locked(file):
            found = _found(file, choice) or _built(file, empty, contents, produce, choice)
    return found


def _found(file: Path, choice: Choice) -> tuple[Pixelled, Blocks] | None:
    blocks = read_blocks(file)
    if blocks is None:
        return None
    if choice.mode == "ram":
        pixels = load(file, blocks)
        source: Pixelled | None = None if pixels is None else InRam(pixels, file)
    else:
        source = OnDisk(file, blocks.shape) if is_sound(file, blocks, SAMPLED_BLOCKS) else None
    if source is None:
        log.warning("the image cache %s is damaged; it is built anew", file)
        return None
    return source, blocks


def _built(file: Path, empty: Blocks, contents: list[str], produce: Reader, choice: Choice) -> tuple[Pixelled, Blocks]:
    build(file, empty, reusing(file, empty, contents, produce))
    found = _found(file, choice)
    if found is None:
        raise OSError(f"the image cache {file} is damaged as soon as it is written; check the disk, or move cache_dir")
    return found


def _undecodable(file: Path, rows: Rows, reader: Reader, transform: Transform) -> dict[int, str]:
    """What streaming leaves out: all are decoded once before, so that each epoch has the same; kept by content."""
    memory = file.with_suffix(".bad.json")
    flaws: list[tuple[int, str]] | None = recalled(memory, partial(_are_flaws, count=len(rows)))
    if flaws is None:
        chunks = [range(start, min(start + CHUNK, len(rows))) for start in range(0, len(rows), CHUNK)]

        def check(places: range) -> list[tuple[int, str]]:
            found = ((place, _flaw(reader, transform, int(rows[place]))) for place in places)
            return [(place, flaw) for place, flaw in found if flaw is not None]

        checked = spread(check, chunks, "checking images", len)
        flaws = [one for found in checked for one in found]
        write_whole(memory, json.dumps(flaws))
    return {int(rows[place]): flaw for place, flaw in flaws}


def _are_flaws(told: Any, count: int) -> bool:
    """Whether it is a list of (place, flaw), none beyond `count` images."""
    pairs = isinstance(told, list) and all(isinstance(one, list) and len(one) == 2 for one in told)
    return pairs and all(place in range(count) and isinstance(flaw, str) for place, flaw in told)


def _flaw(reader: Reader, transform: Transform, row: int) -> str | None:
    try:
        transform(reader(row))
    except BadImage as error:
        return str(error)
    return None


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    """One process builds, the others wait and find it done."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _free_disk(folder: Path) -> int:
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"
