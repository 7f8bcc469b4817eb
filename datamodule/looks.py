"""What can be said of an image without a network: brightness, contrast, a perceptual hash, a few traits."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from datamodule.decode import BadImage, Pixels
from datamodule.inventory import Rows
from datamodule.parallel import spread
from datamodule.preprocessing import resize

Floats = npt.NDArray[np.float32]

SIDE = 32  # pixels that every image is reduced to
FREQUENCIES = 8  # of the cosine transform, per axis
BANDS = (0.5, 1.5, 3.0, 5.0, 20.0)  # limits of frequency between which energies are added up
CHUNK = 64


@dataclass(frozen=True)
class Looks:
    """One entry an image; values of pixels are 0..255.

    contrast: standard deviation of the gray image. darkest, brightest: its 1st and 99th percentile. hash: signs of its
    lowest frequencies. small: (n, 16, 16) gray. colour: (n, 3) means. traits: (n, 12), of about one scale: colours,
    contrasts, energies of coarse to fine structure, saturation.
    """

    contrast: Floats
    darkest: Floats
    brightest: Floats
    hash: npt.NDArray[np.uint64]
    small: Pixels
    colour: Floats
    traits: Floats

    def __len__(self) -> int:
        return len(self.hash)

    def take(self, rows: Rows) -> "Looks":
        return Looks(*(getattr(self, field.name)[rows] for field in fields(self)))


def look_at(read: Callable[[int], Pixels], rows: Rows) -> tuple[Looks, dict[int, str]]:
    """The looks of these rows, in their order, read by all cores, and row → reason of those that cannot be read.

    read: a row's image (H, W, C) of any size. An unreadable one counts as black.
    """
    chunks = [rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK)]
    parts, bad = [], dict[int, str]()
    for part, unreadable in spread(lambda chunk: _chunk(read, chunk), chunks, "looking at images", len):
        parts.append(part)
        bad |= unreadable
    if not parts:
        return looks_of(np.zeros((0, SIDE, SIDE, 3), np.uint8)), bad
    return Looks(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Looks))), bad


def _chunk(read: Callable[[int], Pixels], rows: Rows) -> tuple[Looks, dict[int, str]]:
    reduced, bad = np.zeros((len(rows), SIDE, SIDE, 3), np.uint8), dict[int, str]()
    for place, row in enumerate(rows.tolist()):
        try:
            reduced[place] = resize(_colours(read(row)), SIDE, SIDE, "bilinear")
        except BadImage as error:
            bad[row] = str(error)
    return looks_of(reduced), bad


def _colours(image: Pixels) -> Pixels:
    """Red, green and blue; of one or two channels, the first alone."""
    return np.ascontiguousarray(image[..., :3] if image.shape[2] >= 3 else image[..., :1])


def looks_of(image: Pixels) -> Looks:
    """image: (n, 32, 32, 3)."""
    values = image.astype(np.float32)
    gray = values.mean(axis=3)
    flat = gray.reshape(len(gray), SIDE**2)
    darkest, brightest = np.percentile(flat, (1, 99), axis=1) if len(flat) else np.zeros((2, 0))
    frequencies = cosines() @ gray @ cosines().T
    small = gray.reshape(-1, SIDE // 2, 2, SIDE // 2, 2).mean(axis=(2, 4))
    return Looks(
        contrast=flat.std(axis=1),
        darkest=darkest.astype(np.float32),
        brightest=brightest.astype(np.float32),
        hash=perceptual_hash(frequencies),
        small=np.rint(small).astype(np.uint8),
        colour=values.mean(axis=(1, 2)),
        traits=traits(values, flat.var(axis=1), frequencies),
    )


def traits(values: Floats, variance: Floats, frequencies: Floats) -> Floats:
    """What kind of picture it is, (n, 12). values: (n, 32, 32, 3). variance: (n,), of gray. frequencies: (n, 8, 8)."""
    radius, energy = np.hypot(*np.indices((FREQUENCIES, FREQUENCIES))), frequencies**2
    bands = [energy[:, (radius >= low) & (radius < high)].sum(axis=1) for low, high in pairwise(BANDS)]
    rest = np.maximum(SIDE**2 * variance - sum(bands), 0)
    saturation = (values.max(axis=3) - values.min(axis=3)).mean(axis=(1, 2))
    colours, contrasts = values.mean(axis=(1, 2)) / 64, np.log(values.std(axis=(1, 2)) + 2)
    energies = np.log(np.stack((*bands, rest)) + 30)
    return np.stack((*colours.T, *contrasts.T, *energies, saturation / 32), axis=1)


def perceptual_hash(frequencies: Floats) -> npt.NDArray[np.uint64]:
    """63 bits: the sign of each frequency but the mean, (n, 8, 8) to (n,). Alike images differ in few bits."""
    signs = frequencies.reshape(-1, FREQUENCIES**2) > 0
    signs[:, 0] = False
    hashes: npt.NDArray[np.uint64] = np.packbits(signs, axis=1).view(np.uint64)[:, 0]
    return hashes


@cache
def cosines() -> Floats:
    """The first rows of the orthonormal cosine transform, (8, 32)."""
    frequency, place = np.arange(FREQUENCIES)[:, None], np.arange(SIDE)
    basis = np.sqrt(2 / SIDE) * np.cos(np.pi * frequency * (2 * place + 1) / (2 * SIDE))
    basis[0] /= np.sqrt(2)
    return basis.astype(np.float32)
