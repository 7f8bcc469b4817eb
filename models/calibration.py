"""Whether a probability of 0.9 is right nine times in ten: reliability, ECE, temperature scaling (arXiv:1706.04599)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_expit, log_softmax

Array = NDArray[Any]

BINS = 15


@dataclass(frozen=True)
class Reliability:
    """Samples put into equal-width bins by confidence; NaN in an empty bin."""

    count: Array  # (bins,) samples
    confidence: Array  # (bins,) mean probability of the predicted class
    accuracy: Array  # (bins,) share of right predictions

    @property
    def ece(self) -> float:
        """Expected calibration error: the gap between both, weighted by the samples."""
        filled = self.count > 0
        gap = np.abs(self.confidence - self.accuracy)[filled]
        return float(gap @ self.count[filled] / self.count.sum())


def fit_temperature(logits: Array, target: Array, lowest: float = 0.05, highest: float = 20.0) -> float:
    """The temperature that makes the likeliest probabilities; to be fitted on validation samples only.

    logits: (samples, classes); target: (samples,) class numbers, or (samples, classes) of 0 and 1 for several labels.
    Targets are smoothed as if one further sample were wrong (Platt 1999): where every validation sample is right,
    the bare likelihood would ask for a temperature of zero and call every prediction certain.
    """
    logits, target = np.asarray(logits, np.float64), np.asarray(target)
    if logits.ndim != 2 or len(logits) != len(target) or not len(logits):
        raise ValueError(
            f"a temperature needs (samples, classes) logits and their labels: {logits.shape}, {target.shape}"
        )
    if not np.isfinite(logits).all():
        raise ValueError("a temperature cannot be fitted: the validation logits hold NaN or infinity")
    bounds = (np.log(lowest), np.log(highest))
    found = minimize_scalar(
        lambda log: log_losses(logits / np.exp(log), target).mean(), bounds=bounds, method="bounded"
    )
    return float(np.exp(found.x))


def log_losses(logits: Array, target: Array) -> Array:
    """Of each sample (samples,), against targets that are smoothed; shapes as of fit_temperature."""
    return _softmax_losses(logits, target) if target.ndim == 1 else _sigmoid_losses(logits, target)


def scaled_losses(logits: Array, target: Array) -> Array:
    """log_losses at the temperature that suits these samples best: what a network knows, however sure it is of it."""
    return log_losses(logits / fit_temperature(logits, target), target)


def bins_of(confidence: Array, bins: int = BINS) -> Array:
    """The equal-width bin of each confidence; a bin owns its upper edge."""
    where: Array = np.clip(np.ceil(np.asarray(confidence) * bins) - 1, 0, bins - 1)
    return where.astype(np.int64)


def reliability(confidence: Array, right: Array, bins: int = BINS) -> Reliability:
    """Confidence against accuracy, bin by bin.

    confidence: (samples,) probability of the predicted class; right: (samples,) bool.
    """
    where = bins_of(confidence, bins)
    count = np.bincount(where, minlength=bins)
    divisor = np.where(count > 0, count, np.nan)
    mean_confidence = np.bincount(where, confidence, bins) / divisor
    return Reliability(count, mean_confidence, np.bincount(where, right, bins) / divisor)


def _softmax_losses(logits: Array, target: Array) -> Array:
    """Cross-entropy with a share of 1 / (samples + 2) spread over the other classes."""
    log_probs = log_softmax(logits, axis=1)
    own = log_probs[np.arange(len(target)), target]
    others = (log_probs.sum(axis=1) - own) / max(logits.shape[1] - 1, 1)
    share = 1 / (len(target) + 2)
    losses: Array = -((1 - share) * own + share * others)
    return losses


def _sigmoid_losses(logits: Array, target: Array) -> Array:
    """The mean over an image's labels."""
    share = 1 / (len(target) + 2)
    soft = np.where(np.asarray(target, bool), 1 - share, share)
    losses: Array = -(soft * log_expit(logits) + (1 - soft) * log_expit(-logits)).mean(axis=1)
    return losses
