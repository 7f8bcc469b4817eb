"""Which trained model to start from: scores of its features or answers on a few labelled images."""

from typing import Protocol

import numpy as np

from active import probe
from active.view import Array, Places


class Selection(Protocol):
    """Higher is better. features: (n, F), logits: (n, source classes), label: (n,) target classes."""

    def score(self, features: Array, logits: Array, label: Places, classes: int) -> float: ...


class LinearProbe:
    """Accuracy of a linear classifier on the features, cross-validated in `folds` parts."""

    def __init__(self, folds: int = 5) -> None:
        if folds < 2:
            raise ValueError(f"active.selection.folds={folds}: use 2 or more")
        self.folds = folds

    def score(self, features: Array, logits: Array, label: Places, classes: int) -> float:
        return probed(features, label, classes, self.folds)


class Leep:
    """Log expected empirical prediction (Nguyen et al. 2020, arXiv:2002.12462)."""

    def score(self, features: Array, logits: Array, label: Places, classes: int) -> float:
        return leep(np.exp(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)), label, classes)


class LogMe:
    """Logarithm of the maximum evidence (You et al. 2021, arXiv:2102.11005)."""

    def score(self, features: Array, logits: Array, label: Places, classes: int) -> float:
        return logme(features, label, classes)


def probed(features: Array, label: Places, classes: int, folds: int) -> float:
    """Share of right answers; every image is judged by a classifier that has not seen it."""
    scaled = (features - features.mean(axis=0)) / (features.std(axis=0) + 1e-6)
    fold = np.empty(len(label), np.int64)
    fold[np.argsort(label, kind="stable")] = np.arange(len(label)) % min(folds, len(label))
    right = 0
    for number in range(fold.max() + 1):
        seen = fold != number
        if not seen.any():
            return 0.0
        weights = probe.fit(scaled[seen], label[seen], classes, penalty=1e-2)
        right += int((probe.logits(scaled[~seen], weights).argmax(axis=1) == label[~seen]).sum())
    return right / len(label)


def leep(probs: Array, label: Places, classes: int) -> float:
    """Mean log-likelihood of the labels under the source model's classes as an intermediate.

    probs: (n, source classes).
    """
    joint = np.zeros((classes, probs.shape[1]))
    np.add.at(joint, label, probs / len(label))
    given = joint / np.maximum(joint.sum(axis=0, keepdims=True), 1e-30)
    likely = np.einsum("nz,nz->n", given[label], probs)
    return float(np.log(np.maximum(likely, 1e-30)).mean())


def logme(features: Array, label: Places, classes: int) -> float:
    """Mean over classes of the log evidence of a Bayesian linear model, per image; MacKay's fixed point."""
    features = np.asarray(features, np.float64)
    count, dimension = features.shape
    basis, singular, _ = np.linalg.svd(features, full_matrices=False)
    spectrum = singular**2
    found = []
    for number in range(classes):
        target = (label == number).astype(np.float64)
        found.append(_evidence(basis.T @ target, float(target @ target), spectrum, count, dimension))
    return float(np.mean(found))


def _evidence(inner: Array, length: float, spectrum: Array, count: int, dimension: int) -> float:
    alpha, beta = 1.0, 1.0
    outside = max(length - float(inner @ inner), 0.0)  # what no weights can explain
    for _ in range(11):
        ratio = alpha / beta
        weight = float((spectrum * inner**2 / (spectrum + ratio) ** 2).sum())
        residual = float((inner**2 * ratio**2 / (spectrum + ratio) ** 2).sum()) + outside
        gamma = float((spectrum / (spectrum + ratio)).sum())
        alpha, beta = gamma / (weight + 1e-5), (count - gamma) / (residual + 1e-5)
    evidence = (
        dimension / 2 * np.log(alpha)
        + count / 2 * np.log(beta)
        - 0.5 * np.log(alpha + beta * spectrum).sum()
        - (dimension - len(spectrum)) / 2 * np.log(alpha)
        - beta / 2 * residual
        - alpha / 2 * weight
        - count / 2 * np.log(2 * np.pi)
    )
    return float(evidence / count)
