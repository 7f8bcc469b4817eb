"""A cache's file: rows of equal size, and beside it a json with a hash for each block of about 4 MiB."""

import hashlib
import json
import mmap
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from uuid import uuid4

import numpy as np

from datamodule.decode import BadImage, Pixels
from datamodule.parallel import cores, spread
from utils.files import sync_folder, write_whole

BLOCK_BYTES = 4 * 2**20


@dataclass(frozen=True)
class Blocks:
    """What the json says. shape: of one row (H, W, C). sha256: of each block. bad: reasons of rows left black."""

    count: int
    shape: tuple[int, int, int]
    transform: str
    sha256: tuple[str, ...] = ()
    bad: tuple[tuple[int, str], ...] = ()

    @property
    def row_bytes(self) -> int:
        return self.shape[0] * self.shape[1] * self.shape[2]

    @property
    def nbytes(self) -> int:
        return self.count * self.row_bytes

    @property
    def spans(self) -> list[range]:
        """The rows of each block."""
        step = max(1, BLOCK_BYTES // self.row_bytes)
        return [range(start, min(start + step, self.count)) for start in range(0, self.count, step)]


def beside(file: Path) -> Path:
    return file.with_suffix(".json")


def read_blocks(file: Path) -> Blocks | None:
    """What is written beside a cache file; None where there is no whole cache."""
    try:
        said = json.loads(beside(file).read_bytes())
        bad = tuple((row, reason) for row, reason in said["bad"])
        blocks = Blocks(said["count"], tuple(said["shape"]), said["transform"], tuple(said["sha256"]), bad)
        whole = file.stat().st_size == blocks.nbytes and len(blocks.sha256) == len(blocks.spans)
        return blocks if whole else None
    except (FileNotFoundError, KeyError, TypeError, ValueError):
        return None


def build(file: Path, empty: Blocks, produce: Callable[[int], Pixels]) -> Blocks:
    """Fills all rows by threads; `file` appears when all of it is on the disk. Rows that raise BadImage stay black."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f"{file.name}.{uuid4().hex[:8]}.part")
    descriptor = os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    try:
        filled = spread(lambda span: _fill(descriptor, span, empty, produce), empty.spans, "decoding images", len)
        hashes, bad = zip(*filled, strict=True) if empty.count else ((), ())
        os.fsync(descriptor)
        blocks = replace(empty, sha256=hashes, bad=tuple(one for some in bad for one in some))
        beside(file).unlink(missing_ok=True)
        part.replace(file)
    finally:
        os.close(descriptor)
        part.unlink(missing_ok=True)
    sync_folder(file.parent)
    write_whole(beside(file), json.dumps(asdict(blocks)))
    return blocks


def _fill(
    descriptor: int, span: range, blocks: Blocks, produce: Callable[[int], Pixels]
) -> tuple[str, list[tuple[int, str]]]:
    pixels, bad = np.zeros((len(span), *blocks.shape), np.uint8), []
    for place, row in enumerate(span):
        try:
            pixels[place] = produce(row)
        except BadImage as error:
            bad.append((row, str(error)))
    _write_all(descriptor, pixels.data.cast("B"), span.start * blocks.row_bytes)
    return hashlib.sha256(pixels.data).hexdigest(), bad


def _write_all(descriptor: int, data: memoryview, offset: int) -> None:
    while data:
        written = os.pwrite(descriptor, data, offset)
        data, offset = data[written:], offset + written


def load(file: Path, blocks: Blocks) -> Pixels | None:
    """The whole file as an array (count, H, W, C), every block checked; None where one is damaged.

    The array maps the file read-only: no page is copied, and all processes that load it share one copy in memory.
    """
    if not blocks.nbytes:
        return np.empty((blocks.count, *blocks.shape), np.uint8)
    with file.open("rb") as source:
        mapped = mmap.mmap(source.fileno(), blocks.nbytes, access=mmap.ACCESS_READ)
    pixels = np.frombuffer(mapped, np.uint8).reshape(blocks.count, *blocks.shape)
    jobs = zip(blocks.spans, blocks.sha256, strict=True)
    with ThreadPoolExecutor(cores()) as pool:
        whole = all(pool.map(lambda job: _is_whole(pixels[job[0].start : job[0].stop], job[1]), jobs))
    return pixels if whole else None


def is_sound(file: Path, blocks: Blocks, sample: int) -> bool:
    """Whether so many blocks spread over the file, the first and the last among them, are as they were written."""
    jobs = list(zip(blocks.spans, blocks.sha256, strict=True))
    places = np.unique(np.linspace(0, len(jobs) - 1, min(sample, len(jobs))).astype(int))
    with file.open("rb") as source, ThreadPoolExecutor(cores()) as pool:
        return all(pool.map(lambda place: _read_block(source.fileno(), blocks, *jobs[place]), places))


def _read_block(descriptor: int, blocks: Blocks, span: range, sha256: str) -> bool:
    pixels = np.empty((len(span), *blocks.shape), np.uint8)
    read_exactly(descriptor, pixels, span.start * blocks.row_bytes)
    return _is_whole(pixels, sha256)


def _is_whole(pixels: Pixels, sha256: str) -> bool:
    return hashlib.sha256(pixels.data).hexdigest() == sha256


def read_exactly(descriptor: int, pixels: Pixels, offset: int) -> None:
    """Fills a contiguous array from a file. Raises EOFError where the file is too short."""
    data = pixels.data.cast("B")
    while data:
        count = os.preadv(descriptor, [data], offset)
        if not count:
            raise EOFError(f"the image cache ends at byte {offset}; remove it, and it is built again")
        data, offset = data[count:], offset + count
