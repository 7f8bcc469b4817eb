"""How well scores rank positives above negatives: AUC and average precision, each with its influence function.

The influence of a sample says by how much the figure moves when the sample counts a little more; to first order a
resampled figure is `figure + weights @ influence / samples`, which makes a bootstrap a matrix product.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def auc(score: Array, positive: Array) -> tuple[float, Array]:
    """Area under the ROC curve, ties counting half, and each sample's influence (DeLong 1988).

    score: (samples,); positive: (samples,) bool. NaN and zeros where positives or negatives are missing.
    """
    ups, downs = np.sort(score[positive]), np.sort(score[~positive])
    if not ups.size or not downs.size:
        return np.nan, np.zeros(score.shape, np.float32)
    placement = np.where(positive, _share_below(score, downs), 1 - _share_below(score, ups))
    area = float(placement[positive].mean())
    influence = (placement - area) * (score.size / np.where(positive, ups.size, downs.size))
    return area, influence.astype(np.float32)


def average_precision(score: Array, positive: Array) -> tuple[float, Array]:
    """Average precision, equal scores taken together, and each sample's influence.

    score: (samples,); positive: (samples,) bool. NaN and zeros where there is no positive.
    """
    _, level = np.unique(-score, return_inverse=True)  # level 0 holds the highest score
    positives = np.bincount(level, positive, level.max() + 1)
    if not positive.any():
        return np.nan, np.zeros(score.shape, np.float32)
    hits, taken = np.cumsum(positives), np.cumsum(np.bincount(level))
    precision, count = hits / taken, float(positive.sum())
    area = float(positives @ precision / count)
    gain = _from_here_on(positives / taken)[level]
    loss = _from_here_on(positives * hits / taken**2)[level]
    influence = (positive * (precision[level] - area + gain) - loss) * (score.size / count)
    return area, influence.astype(np.float32)


def _share_below(score: Array, others: Array) -> Array:
    """Share of the sorted `others` below each score, equal ones by half."""
    return (np.searchsorted(others, score, "left") + np.searchsorted(others, score, "right")) / (2 * others.size)


def _from_here_on(values: Array) -> Array:
    return np.cumsum(values[::-1])[::-1]
