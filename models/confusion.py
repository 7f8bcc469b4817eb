"""Which classes are taken for which, and the samples most confidently wrong."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class Confused:
    """One class taken for another."""

    true: str
    predicted: str
    count: int
    share: float  # of the images of the true class


def confusion(labels: Array, predicted: Array, classes: int) -> Array:
    """Counts (classes, classes): true class by row, predicted by column."""
    pairs: Array = np.asarray(labels) * classes + predicted
    counts: Array = np.bincount(pairs, minlength=classes**2)
    return counts.reshape(classes, classes)


def normalised(counts: Array) -> Array:
    """Shares of each true class, rows summing to 1; a class without images stays 0."""
    totals = counts.sum(axis=1, keepdims=True)
    shares: Array = counts / np.maximum(totals, 1)
    return shares


def most_confused(counts: Array, classes: Sequence[str], count: int = 12) -> list[Confused]:
    """The pairs of classes with the most mistakes, worst first; equal ones by their share of the true class."""
    errors = counts - np.diag(np.diag(counts))
    share = normalised(counts)
    rows, columns = np.nonzero(errors)
    order = np.lexsort((-share[rows, columns], -errors[rows, columns]))[:count]
    return [
        Confused(classes[row], classes[column], int(errors[row, column]), float(share[row, column]))
        for row, column in zip(rows[order], columns[order], strict=True)
    ]


def hardest(counts: Array, count: int) -> Array:
    """The classes with the most mistakes about them, in class order: images of them missed or others taken for them."""
    wrong = counts.sum(axis=0) + counts.sum(axis=1) - 2 * np.diag(counts)
    return np.sort(np.argsort(-wrong, kind="stable")[:count])


def most_wrong(probs: Array, labels: Array, count: int = 24) -> Array:
    """Rows of the failed samples, the most confidently wrong first.

    probs: (samples, classes); labels: (samples,) class numbers.
    """
    failed = np.flatnonzero(probs.argmax(axis=1) != labels)
    confidence = probs[failed].max(axis=1)
    return failed[np.argsort(-confidence, kind="stable")[:count]]
