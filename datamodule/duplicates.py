"""Pairs of images that look the same, found through their perceptual hashes without comparing all with all."""

from collections.abc import Iterator
from itertools import combinations

import numpy as np
import numpy.typing as npt

from datamodule.inventory import Rows
from datamodule.looks import Looks

Hashes = npt.NDArray[np.uint64]
Pairs = npt.NDArray[np.int64]

BANDS, BAND_BITS = 4, 16
FLIPS = 2  # bits of one band that may differ
MOST_BITS = 11  # so hashes that differ in so many are always compared: one of the bands then differs in at most two
AT_ONCE = 2**21  # candidates in memory
LEAST, MOST = 0.9, 0.995  # between them lies the correlation of 16 x 16 gray pixels that makes two images one
ENOUGH, SAMPLED = 200, 20_000  # images, and pairs of them, that tell how alike a set's images are anyway
EXCEPTIONAL = 2.1  # times as far from the usual pair as one pair in a hundred is
COLOUR = 16.0  # of 255, by which their mean colours may differ


def near_pairs(looks: Looks, likeness: float | None = None) -> tuple[Pairs, npt.NDArray[np.float32]]:
    """Pairs (p, 2) of images that look the same, the first number below the second, and their likeness (p,), up to 1.

    likeness: correlation from which on; None: above what the set's images have in common anyway. Survives
    recompression, other sizes, other brightness and mostly a shift of a pixel; not crops or mirrors.
    """
    small = standardised(looks.small)
    likeness = exceptional_likeness(small) if likeness is None else likeness
    found, likes = [np.empty((0, 2), np.int64)], [np.empty(0, np.float32)]
    for pairs in candidates(looks.hash):
        like = np.einsum("pd,pd->p", small[pairs[:, 0]], small[pairs[:, 1]])
        colour = np.abs(looks.colour[pairs[:, 0]] - looks.colour[pairs[:, 1]]).max(axis=1)
        same = (like >= likeness) & (colour <= COLOUR)
        found.append(pairs[same])
        likes.append(like[same])
    pairs, first = np.unique(np.concatenate(found), axis=0, return_index=True)
    return pairs, np.concatenate(likes)[first]


def standardised(small: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """(n, h, w) to (n, h·w) of mean 0 and length 1, so that a product of two is their correlation."""
    flat = small.reshape(len(small), small.shape[1] * small.shape[2]).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6)
    return flat


def exceptional_likeness(small: npt.NDArray[np.float32]) -> float:
    """The correlation that no two different images of the set have. small: (n, d), standardised.

    Photographs of all sorts rarely look alike, digits or X-rays always do: random pairs tell.
    """
    if len(small) < ENOUGH:
        return LEAST
    first, second = np.random.default_rng(0).integers(0, len(small), (2, SAMPLED))
    pairs = np.stack((first, second))[:, first != second]
    like = np.einsum("pd,pd->p", small[pairs[0]], small[pairs[1]])
    usual, rare = np.quantile(np.arctanh(np.clip(like, -0.9999, 0.9999)), (0.5, 0.99))
    return float(np.clip(np.tanh(usual + EXCEPTIONAL * (rare - usual)), LEAST, MOST))


def candidates(hashes: Hashes) -> Iterator[Pairs]:
    """Parts (p, 2) of all pairs of hashes that differ in at most 11 bits; a pair may come more than once."""
    for band in bands(hashes):
        order = np.argsort(band, kind="stable")
        values = band[order]
        for flipped in flips():
            wanted = values ^ flipped
            start, stop = (np.searchsorted(values, wanted, side) for side in ("left", "right"))
            for pairs in _expanded(start, stop):
                pairs = np.sort(order[pairs[pairs[:, 0] < pairs[:, 1]]], axis=1)
                apart = np.bitwise_count(hashes[pairs[:, 0]] ^ hashes[pairs[:, 1]])
                yield pairs[apart <= MOST_BITS]


def flips() -> list[int]:
    """Every number of 16 bits of which at most two are set."""
    chosen = (bits for count in range(FLIPS + 1) for bits in combinations(range(BAND_BITS), count))
    return [sum(1 << bit for bit in bits) for bits in chosen]


def bands(hashes: Hashes) -> npt.NDArray[np.int64]:
    """(4, n): four numbers of 16 bits, each with bits of low and of high frequencies."""
    bits = np.unpackbits(hashes.view(np.uint8).reshape(-1, 8), axis=1)
    parts = [np.packbits(bits[:, band::BANDS], axis=1).view(np.uint16)[:, 0] for band in range(BANDS)]
    return np.stack(parts).astype(np.int64)


def _expanded(start: Rows, stop: Rows) -> Iterator[Pairs]:
    """(row, other) for every other in start[row] … stop[row] - 1, a bounded number at a time."""
    ends = np.cumsum(stop - start)
    row = 0
    while row < len(start):
        before = ends[row - 1] if row else 0
        upto = max(row + 1, int(np.searchsorted(ends, before + AT_ONCE, "right")))
        count = (stop - start)[row:upto]
        rows = np.repeat(np.arange(row, upto), count)
        within = np.arange(len(rows)) - np.repeat(ends[row:upto] - count - before, count)
        yield np.stack((rows, start[rows] + within), axis=1)
        row = upto
