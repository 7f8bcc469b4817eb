"""Embeddings of a pool, kept on the disk: one file for each pool and network, found again by their hashes."""

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from active.view import Array, Floats
from datamodule.data import ImageData
from datamodule.inventory import Rows
from utils.files import sync_folder

Precision = Literal["float32", "bfloat16"]
LARGEST_PIXELS = 1024  # values; larger images are averaged down before their pixels serve as embedding


def kept(folder: Path, contents: Sequence[str], source: str, precision: Precision, make: Callable[[], Array]) -> Floats:
    """What `make` answers (N, D), from a memory map where it was made before.

    contents: sha256 of the images in order. source: the weights' hash, or what else decides the values. A file is
    either whole or not there.
    """
    name = hashlib.sha256("\n".join([source, precision, *contents]).encode()).hexdigest()[:24]
    kind = np.dtype("<f4") if precision == "float32" else np.dtype("<u2")
    file = folder / "embeddings" / f"{name}.{'f32' if precision == 'float32' else 'bf16'}"
    if not file.exists():
        _write(file, np.ascontiguousarray(make(), np.float32), precision)
    flat = np.memmap(file, kind, "r").reshape(len(contents), -1)
    return flat if precision == "float32" else from_bfloat16(flat)


def _write(file: Path, values: Floats, precision: Precision) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f"{file.name}.{os.getpid()}.part")
    try:
        (values if precision == "float32" else to_bfloat16(values)).tofile(part)
        part.replace(file)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    sync_folder(file.parent)


def to_bfloat16(values: Floats) -> np.ndarray:
    """The upper halves of float32 numbers, rounded to even, as uint16."""
    bits = values.view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def from_bfloat16(halves: np.ndarray) -> Floats:
    return (halves.astype(np.uint32) << 16).view(np.float32)


def pixels(data: ImageData, rows: Rows) -> Floats:
    """(N, D) pixel values between 0 and 1 as evaluation sees the images, averaged down to at most 1,024 values."""
    parts = [batch.image.numpy() for batch in data.rows_dataloader(rows, "pixels")]
    image: Floats = np.concatenate(parts).astype(np.float32) / np.float32(255)
    while image[0].size > LARGEST_PIXELS and min(image.shape[1:3]) > 1:
        high, wide = image.shape[1] // 2 * 2, image.shape[2] // 2 * 2
        image = image[:, :high, :wide]
        image = (image[:, ::2, ::2] + image[:, 1::2, ::2] + image[:, ::2, 1::2] + image[:, 1::2, 1::2]) / np.float32(4)
    return image.reshape(len(image), -1)
