"""A set that has grown is not decoded again: rows of an earlier cache of the same transform are taken over."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from datamodule.blocks import Blocks, is_sound, read_blocks
from datamodule.decode import Pixels
from datamodule.stores import OnDisk, Reader
from utils.files import write_whole

SHA_BYTES = 32


def reusing(file: Path, empty: Blocks, contents: Sequence[str], produce: Reader) -> Reader:
    """`produce`, but from the cache beside `file` that holds most of these contents, where one holds any.

    contents: sha256 of each row, which are written beside `file` for the caches to come.
    """
    wanted = [bytes.fromhex(sha) for sha in contents]
    old, places = max(_earlier(file, empty.transform, set(wanted)), key=lambda found: len(found[1]), default=(file, {}))
    write_whole(_rows_beside(file), b"".join(wanted))
    if not places or not _is_whole(old):
        return produce
    source = OnDisk(old, empty.shape)

    def take_over(place: int) -> Pixels:
        held = places.get(wanted[place])
        return produce(place) if held is None else source.fetch(np.array([held]))[0]

    return take_over


def _earlier(file: Path, transform: str, wanted: set[bytes]) -> Iterator[tuple[Path, dict[bytes, int]]]:
    """Other caches of this transform, and where they have what is wanted."""
    for rows in file.parent.glob("*.rows"):
        other = rows.with_suffix(file.suffix)
        blocks = read_blocks(other) if other != file else None
        if blocks is None or blocks.transform != transform:
            continue
        shas, bad = rows.read_bytes(), {place for place, _ in blocks.bad}
        held = {shas[place * SHA_BYTES : (place + 1) * SHA_BYTES]: place for place in range(blocks.count)}
        yield other, {sha: held[sha] for sha in wanted & held.keys() if held[sha] not in bad}


def _is_whole(file: Path) -> bool:
    blocks = read_blocks(file)
    return blocks is not None and is_sound(file, blocks, len(blocks.spans))


def _rows_beside(file: Path) -> Path:
    return file.with_suffix(".rows")
