"""How the model stands: accuracy and calibration with labels, without them whether the pool still looks the same."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.stats import ks_2samp

from active.strategies.entropy import entropy
from active.strategies.margin import margin
from active.view import Array, Places
from models.calibration import bins_of
from models.probabilities import probabilities
from utils.statistics import wilson

WITH_LABELS = ("accuracy", "low", "high", "ece", "mce")


@dataclass(frozen=True)
class Standing:
    """accuracy with its 95 % range, ece and mce (expected and maximum calibration error) on labelled images, None where
    there are none. entropy, uncertainty (1 - margin): means over the pool. shift_p: chance of softmax outputs as
    different as those of pool and labelled images if both were alike (BBSDs, Rabanser et al. 2019, arXiv:1810.11953).
    shares: estimated share of each class in the pool (BBSE, Lipton et al. 2018, arXiv:1802.03916).
    """

    accuracy: float | None
    low: float | None
    high: float | None
    ece: float | None
    mce: float | None
    entropy: float
    uncertainty: float
    shift_p: float | None
    shifted: bool
    shares: list[float] | None

    def facts(self) -> dict[str, Any]:
        return asdict(self)


class ModelState:
    """bins: of the calibration errors. alpha: a pool is called shifted where its p is below."""

    def __init__(self, bins: int = 15, alpha: float = 0.05) -> None:
        if bins < 1 or not 0 < alpha < 1:
            raise ValueError(f"active.state.bins={bins}, alpha={alpha}: use 1 or more bins, alpha between 0 and 1")
        self.bins, self.alpha = bins, alpha

    def estimate(self, judged: Array, truth: Places, reference: Array, known: Places, pool: Array) -> Standing:
        """judged: (n, classes) probabilities of the images that accuracy is measured on, with their truth (n,).

        reference, known: the same of images that neither train nor judge (validation), for shift. pool: (N, classes).
        """
        p = shift_p(reference, pool) if len(reference) and len(pool) else None
        shares = label_shift(reference, known, pool).tolist() if len(reference) and len(pool) else None
        mean_entropy = float(entropy(pool).mean()) if len(pool) else 0.0
        unsure = float(margin(pool).mean()) if len(pool) else 0.0
        found = self._with_labels(judged, truth) if len(judged) else dict.fromkeys(WITH_LABELS)
        shifted = p is not None and p < self.alpha
        return Standing(**found, entropy=mean_entropy, uncertainty=unsure, shift_p=p, shifted=shifted, shares=shares)

    def _with_labels(self, probs: Array, truth: Places) -> dict[str, float | None]:
        right = probs.argmax(axis=1) == truth
        found = wilson(int(right.sum()), len(right))
        gaps, counts = calibration_gaps(probs.max(axis=1), right, self.bins)
        ece = float((gaps * counts).sum() / counts.sum())
        return {"accuracy": found.value, "low": found.low, "high": found.high, "ece": ece, "mce": float(gaps.max())}


def calibration_gaps(confidence: Array, right: Array, bins: int) -> tuple[Array, Array]:
    """|confidence - accuracy| of each bin that holds an image, and their counts."""
    where = bins_of(confidence, bins)
    counts = np.bincount(where, minlength=bins)
    gap = np.abs(np.bincount(where, confidence, bins) - np.bincount(where, right, bins))
    return gap[counts > 0] / counts[counts > 0], counts[counts > 0]


def shift_p(reference: Array, pool: Array) -> float:
    """Kolmogorov-Smirnov on each class's probability, Bonferroni over the classes. (n, classes), (m, classes)."""
    found = [ks_2samp(reference[:, k], pool[:, k], method="asymp").pvalue for k in range(reference.shape[1])]
    return float(min(1.0, min(found) * len(found)))


def label_shift(reference: Array, known: Places, pool: Array) -> Array:
    """Shares of the classes (classes,) that explain how often each is predicted in the pool; least squares, clipped."""
    classes = reference.shape[1]
    joint = np.zeros((classes, classes))
    np.add.at(joint, (reference.argmax(axis=1), known), 1 / len(known))
    predicted = np.bincount(pool.argmax(axis=1), minlength=classes) / len(pool)
    ratio = np.linalg.lstsq(joint, predicted, rcond=1e-3)[0]
    shares = np.clip(ratio, 0, None) * np.bincount(known, minlength=classes) / len(known)
    found: Array = shares / shares.sum() if shares.sum() > 0 else predicted
    return found


def calibrated(logits: Array, temperature: float | list[float] | None) -> Array:
    """(n, classes) probabilities of one classifier; None: as trained."""
    assert not isinstance(temperature, list), "one class an image has one temperature"
    return probabilities(logits, temperature or 1.0)
