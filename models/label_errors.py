"""Which labels look wrong, from a network's logits: a score for each sample, a suggestion, and how many to flag.

Only suggestions: nothing here changes a label. Method and measured quality: docs/label-errors.md.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, logsumexp, softmax

Array = NDArray[Any]
Labels = NDArray[np.int64]

SLACK = 1e-6  # a probability this little below its class's threshold still counts as above
SUREST, FEWEST = 0.05, 10  # share and number of the images taken for a class that tell how such images are labelled
LEAST_SPREAD = 1e-3  # of how much some confusions of labels are commoner than others
LEAST_RIGHT = 0.05  # share of a class's labels


@dataclass(frozen=True)
class Findings:
    """One entry a sample, in the samples' order.

    given, suggested: class numbers; suggested is given where neither the network nor the flag speaks against it.
    score: log odds that the given label is right; the lower, the likelier it is wrong. rank: 1 is the likeliest error.
    flagged: worth a person's look.
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
    return findings(logits, labels)


def findings(logits: Array, labels: Labels, sharpness: float = 1.0) -> Findings:
    """Ranks labels by the odds that they are right, and flags as many as confident learning counts errors.

    logits: (samples, classes), of one pass or averaged over several. labels: (samples,). sharpness: factor on the
    logits in the odds; averages are blunter than a network is. Raises ValueError where logits and labels do not fit.
    """
    logits = np.asarray(logits, np.float64)
    labels = checked(labels, logits)
    probs, rows = softmax(logits, axis=1), np.arange(len(labels))
    evidence = sharpness * log_softmax(logits, axis=1) + np.log(mislabelling(probs, labels))[labels]
    own = evidence[rows, labels]
    evidence[rows, labels] = -np.inf
    score = own - logsumexp(evidence, axis=1)
    rank = np.empty(len(score), np.int64)
    rank[np.argsort(score, kind="stable")] = rows + 1
    flagged = rank <= likely_wrong(probs, labels).sum()
    doubted = flagged | (probs.argmax(axis=1) != labels)
    return Findings(labels, np.where(doubted, evidence.argmax(axis=1), labels), score, rank, flagged)


def mislabelling(probs: Array, labels: Labels) -> Array:
    """How images of a class (column) are labelled (row), as shares, (C, C).

    Read off the images that the network is surest of. How much some confusions of labels are commoner than others is
    estimated from the scatter of their counts; as far as it is chance, all become equally likely (empirical Bayes with
    a gamma prior), so that labels wrong at random are not taken for a pattern. probs: (samples, C).
    """
    counts = surest_counts(probs, labels)
    classes, wrong = len(counts), ~np.eye(len(counts), dtype=bool)
    usual = (counts[wrong].sum() + 1) / (counts.sum() + 1) / (classes - 1)
    expected = usual * np.maximum(np.broadcast_to(counts.sum(axis=0), counts.shape), 1)
    surprise = (counts - expected)[wrong]
    spread = max((surprise**2 - expected[wrong]).sum() / (expected[wrong] ** 2).sum(), LEAST_SPREAD)
    shares = usual * (counts + 1 / spread) / (expected + 1 / spread) * wrong
    return shares + np.diag(np.maximum(1 - shares.sum(axis=0), LEAST_RIGHT))


def surest_counts(probs: Array, labels: Labels) -> Array:
    """Of the images that the network is surest to be of a class (column), how many are labelled so (row), (C, C)."""
    classes, taken_for = probs.shape[1], probs.argmax(axis=1)
    counts = np.zeros((classes, classes))
    for true in range(classes):
        rows = np.flatnonzero(taken_for == true)
        surest = rows[np.argsort(-probs[rows, true], kind="stable")[: max(FEWEST, int(SUREST * len(rows)))]]
        counts[:, true] = np.bincount(labels[surest], minlength=classes)
    return counts


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
