"""Mean and deviation of pixel values, exact whatever the order of the images."""

from collections.abc import Iterable

import numpy as np

from datamodule.decode import Pixels
from datamodule.inventory import Rows


def mean_and_std(parts: Iterable[Pixels]) -> tuple[list[float], list[float]]:
    """Per channel, of values scaled to 0..1, rounded to 4 digits; a channel that never changes has deviation 1.

    parts: (B, H, W, C) uint8 each, one at least.
    """
    counts = np.sum([_histograms(part) for part in parts], axis=0)
    values, total = np.arange(256) / 255, counts.sum(axis=1)
    mean = counts @ values / total
    distance = (values - mean[:, None]) ** 2
    std = np.sqrt((counts * distance).sum(axis=1) / total).round(4)
    return mean.round(4).tolist(), np.where(std > 0, std, 1.0).tolist()


def _histograms(pixels: Pixels) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """(C, 256) of (B, H, W, C)."""
    return np.stack([np.bincount(plane, minlength=256) for plane in pixels.reshape(-1, pixels.shape[3]).T])


def spread_out(rows: Rows, count: int) -> Rows:
    """`count` of the rows at even distances, or all where there are fewer."""
    return rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(np.int64)]
