"""Which labels look wrong, from a network's logits: a score for each sample, a suggestion, and how many to flag.

Only suggestions: nothing here changes a label. Method and measured quality: docs/label-errors.md.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp, softmax

Array = NDArray[Any]
Labels = NDArray[np.int64]

SLACK = 1e-6  # a probability this little below its class's threshold still counts as above
SUREST = 0.1  # of the samples taken for a class; their labels tell how that class is labelled
FACTORS = tuple(2.0 ** (step / 4) for step in range(-8, 17))  # 0.25 to 16
SHARPENED = 20_000  # samples that the factor is fitted to
RARE = 1e-3  # no confusion is held to be rarer, so that none is impossible


@dataclass(frozen=True)
class Findings:
    """One entry a sample, in the samples' order.

    given, suggested: class numbers; where the network prefers the given class, that is also the suggested one.
    score: log odds that the given label is right; the lower, the likelier it is wrong. rank: 1 is the likeliest error.
    flagged: worth a person's look, and another class is suggested.
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


def findings(logits: Array, labels: Labels) -> Findings:
    """Ranks samples by the log odds of their labels; flags as many of the lowest as confident learning counts errors.

    logits: (samples, classes), of a network that did not see the labels, or averaged over its training. labels:
    (samples,) class numbers. Raises ValueError where they do not fit each other.
    """
    logits = np.asarray(logits, np.float64)
    labels = checked(labels, logits)
    probs = softmax(logits, axis=1)
    labelled = confusion(probs, labels)
    evidence = sharpness(logits, labels, labelled) * logits + np.log(labelled)[labels]  # for each true class
    score, prefers = lead(evidence, labels), logits.argmax(axis=1)
    suggested = np.where(prefers == labels, labels, other(evidence, labels))
    rank = np.empty(len(score), np.int64)
    rank[np.argsort(score, kind="stable")] = np.arange(1, len(score) + 1)
    flagged = (rank <= likely_wrong(probs, labels).sum()) & (suggested != labels)
    return Findings(labels, suggested, score, rank, flagged)


def sharpness(logits: Array, labels: Labels, labelled: Array) -> float:
    """The factor on the logits under which the given labels are likeliest: temperature scaling through the confusions.

    Label smoothing, noise and averaging blunt logits. labelled: (classes, classes) of `confusion`.
    """
    rows = slice(None, None, -(-len(labels) // SHARPENED) or 1)
    logits, chances = logits[rows], labelled[labels[rows]]
    return max(FACTORS, key=lambda factor: np.log((softmax(factor * logits, axis=1) * chances).sum(axis=1)).sum())


def lead(evidence: Array, labels: Labels) -> Array:
    """Log odds of the given class against all others together, (samples,). evidence: (samples, classes)."""
    odds: Array = evidence[np.arange(len(labels)), labels] - logsumexp(without(evidence, labels), axis=1)
    return odds


def other(evidence: Array, labels: Labels) -> Labels:
    """The likeliest class but the given one, (samples,)."""
    found: Labels = without(evidence, labels).argmax(axis=1)
    return found


def without(evidence: Array, labels: Labels) -> Array:
    """The evidence with none for the given classes."""
    others = evidence.copy()
    others[np.arange(len(labels)), labels] = -np.inf
    return others


def confusion(probs: Array, labels: Labels) -> Array:
    """How a class (column) is labelled (row), (classes, classes); columns sum to 1.

    Counted among the samples that the network is surest of, after the anchors of Patrini et al. 2017
    (arXiv:1609.03683). Few counts say little: each confusion is drawn towards the mean of all by empirical Bayes
    (gamma prior on Poisson counts), as strongly as the counts do not differ by more than chance.
    """
    counts = _anchored(probs, labels)
    classes, total, off = len(counts), counts.sum(axis=0), ~np.eye(len(counts), dtype=bool)
    common = max(counts[off].sum() / max(total.sum(), 1) / (classes - 1), RARE)
    expected = np.broadcast_to(common * total, counts.shape)[off]
    excess = ((counts[off] - expected) ** 2 - expected).sum() / max((expected**2).sum(), 1e-12)
    strength = 1 / max(excess, RARE)
    rates = np.zeros_like(counts)
    rates[off] = common * (counts[off] + strength) / (expected + strength)
    return rates / np.maximum(rates.sum(axis=0), 0.95) * 0.95 + np.diag(1 - np.minimum(rates.sum(axis=0), 0.95))


def _anchored(probs: Array, labels: Labels) -> Array:
    """Given labels (row) of the samples that the network takes for a class (column) and is surest of; (C, C) floats."""
    classes, taken = probs.shape[1], probs.argmax(axis=1)
    counts = np.zeros((classes, classes))
    for true in np.unique(taken):
        rows = np.flatnonzero(taken == true)
        surest = rows[np.argsort(-probs[rows, true], kind="stable")[: max(1, int(SUREST * len(rows)))]]
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
