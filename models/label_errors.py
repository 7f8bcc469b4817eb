"""Which labels look wrong, from a network's logits: a score for each sample, a suggestion, and how many to flag.

Only suggestions: nothing here changes a label. Method and measured quality: docs/label-errors.md.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

Array = NDArray[Any]
Labels = NDArray[np.int64]

SLACK = 1e-6  # a probability this little below its class's threshold still counts as above


@dataclass(frozen=True)
class Findings:
    """One entry a sample, in the samples' order.

    given, suggested: class numbers. score: logit margin of the given label; the lower, the likelier it is wrong.
    rank: 1 is the likeliest error. flagged: worth a person's look, and another class is suggested.
    """

    given: Labels
    suggested: Labels
    score: Array
    rank: Labels
    flagged: NDArray[np.bool_]

    @property
    def order(self) -> Labels:
        """Sample numbers, the likeliest error first."""
        return np.argsort(self.rank)


def score_out_of_sample(logits: Array, labels: Labels) -> Findings:
    """Judges labels by a network that was not trained on them.

    logits: (samples, classes); labels: (samples,) class numbers. Raises ValueError where they do not fit each other.
    """
    logits = np.asarray(logits, np.float64)
    labels = checked(labels, logits)
    return findings(labels, margin(logits, labels), logits, softmax(logits, axis=1))


def findings(labels: Labels, score: Array, logits: Array, probs: Array) -> Findings:
    """Ranks samples by their score and flags as many of the lowest as confident learning counts errors.

    labels, score: (samples,). logits, probs: (samples, classes), of one pass or averaged over several.
    """
    rank = np.empty(len(score), np.int64)
    rank[np.argsort(score, kind="stable")] = np.arange(1, len(score) + 1)
    suggested = logits.argmax(axis=1)
    flagged = (rank <= likely_wrong(probs, labels).sum()) & (suggested != labels)
    return Findings(labels, suggested, score, rank, flagged)


def margin(logits: Array, labels: Labels) -> Array:
    """The given class's logit less the largest other one, (samples,); below zero the network prefers another class."""
    rows = np.arange(len(labels))
    others = logits.copy()
    others[rows, labels] = -np.inf
    own: Array = logits[rows, labels] - others.max(axis=1)
    return own


def likely_wrong(probs: Array, labels: Labels) -> NDArray[np.bool_]:
    """Confident learning's errors, (samples,): those that pruning by class and by noise rate agree on.

    Northcutt, Jiang & Chuang 2021 (arXiv:1911.00068), as cleanlab's filter_by="both". probs: (samples, classes).
    """
    count = np.rint(confident_joint(probs, labels)).astype(np.int64)
    wrong = np.zeros(len(labels), bool)
    for given in np.unique(labels):
        rows = np.flatnonzero(labels == given)
        wrong[rows] = _wrong_within(probs[rows], int(given), count[given])
    return wrong & (probs.argmax(axis=1) != labels)


def confident_joint(probs: Array, labels: Labels) -> Array:
    """Estimated number of samples by given (row) and true (column) class; rows sum to the given labels' counts.

    A sample is counted where some class is likelier than it is, on average, for the samples labelled so. (C, C)
    """
    classes = probs.shape[1]
    held = np.bincount(labels, minlength=classes)
    own = np.bincount(labels, probs[np.arange(len(labels)), labels], classes)
    threshold = np.where(held > 0, own / np.maximum(held, 1), np.inf)
    above = probs >= threshold - SLACK
    confident = above.any(axis=1)
    true = np.where(above, probs, -1.0).argmax(axis=1)
    cells = np.bincount((labels * classes + true)[confident], minlength=classes**2).reshape(classes, classes)
    joint = cells + np.diag(np.diagonal(cells) == 0)
    scaled: Array = joint * (held / joint.sum(axis=1))[:, None]
    return scaled


def _wrong_within(probs: Array, given: int, count: Labels) -> NDArray[np.bool_]:
    """Of the samples labelled `given` (n, classes), those to prune by class and by noise rate; count: (classes,)."""
    own = probs[:, given]
    by_class = lowest(own, len(own) - count[given])
    by_rate = np.zeros(len(own), bool)
    for true in np.flatnonzero(count):
        if true != given:
            by_rate |= lowest(own - probs[:, true], count[true])
    return by_class & by_rate


def lowest(values: Array, count: int) -> NDArray[np.bool_]:
    """Marks that many of the lowest values; equal ones in their order."""
    chosen = np.zeros(len(values), bool)
    chosen[np.argsort(values, kind="stable")[:count]] = True
    return chosen


def checked(labels: Labels, logits: Array) -> Labels:
    """The labels as class numbers. Raises ValueError where they or the logits cannot be judged."""
    labels = np.asarray(labels)
    if logits.ndim != 2 or logits.shape[1] < 2 or labels.shape != logits.shape[:1]:
        raise ValueError(
            "label errors need logits (samples, at least 2 classes) and one label for each sample; "
            f"got logits {logits.shape} and labels {labels.shape}"
        )
    if not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"label errors need class numbers, got labels of {labels.dtype}: mixup gives shares instead")
    if len(labels) and not 0 <= labels.min() <= labels.max() < logits.shape[1]:
        raise ValueError(
            f"labels from {labels.min()} to {labels.max()} do not fit {logits.shape[1]} classes; leave unlabelled out"
        )
    if not np.isfinite(logits).all():
        raise ValueError("label errors cannot be judged: the logits hold NaN or infinity")
    return labels.astype(np.int64)
