"""Figures of merit as functions of sums over samples, the form that `utils.statistics.bootstrap` resamples.

Columns hold what each sample adds, (samples, m); totals hold the sums of some resamples, (repeats, m). A figure is
(repeats, 1), one of each class (repeats, classes) under `each_<name>`; NaN where it is undefined.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from models.calibration import BINS, bins_of
from models.probabilities import probabilities
from models.ranking import auc
from utils.statistics import Totals

Array = NDArray[Any]
Figures = dict[str, Array]
Ranking = Callable[[Array, Array], tuple[float, Array]]


def classification_columns(logits: Array, labels: Array, classes: int) -> dict[str, Any]:
    """logits: (samples, classes); labels: (samples,) class numbers."""
    predicted, probs = logits.argmax(axis=1), probabilities(logits)
    right = predicted == labels
    return {
        "right": column(right),
        "top5": column(_rank_of_label(logits, labels) < 5),
        "hits": _one_hot(labels, classes, right),
        "predicted": _one_hot(predicted, classes),
        "support": _one_hot(labels, classes),
        "auc": per_class(auc, probs, labels[:, None] == np.arange(classes)),
        "ece": gaps(probs, right),
    }


def column(values: Array) -> Array:
    """(samples,) as a column of float32, in which counts are exact."""
    return np.asarray(values, np.float32)[:, None]


def per_class(ranking: Ranking, scores: Array, present: Array) -> Array:
    """Pseudo-values (samples, classes) whose mean is the ranking figure of each class, and stays so when resampled."""
    found = [ranking(score, positive) for score, positive in zip(scores.T, present.T, strict=True)]
    return np.stack([np.float32(value) + influence for value, influence in found], axis=1)


def gaps(probs: Array, right: Array) -> Any:
    """Accuracy minus confidence of each sample, in the column of its confidence bin: sparse (samples, bins)."""
    confidence = probs.max(axis=1)
    return _one_hot(bins_of(confidence), BINS, right - confidence)


def label_gaps(probs: Array, present: Array) -> Array:
    """Presence minus probability, mean over an image's labels, summed in the probabilities' bins: (samples, bins)."""
    gap, where = np.asarray(present) - probs, bins_of(probs)
    sums = [(gap * (where == place)).sum(axis=1) for place in range(BINS)]
    found: Array = np.stack(sums, axis=1) / probs.shape[1]
    return found


def classification(totals: Totals) -> Figures:
    samples = totals["support"].sum(axis=1, keepdims=True)
    calibration = {name: _gap(totals[name], samples) for name in ("ece", "ece_calibrated") if name in totals}
    each = _decisions(totals) | {"each_auc": np.clip(totals["auc"] / samples, 0, 1)}
    return {
        **each,
        **calibration,
        "accuracy": totals["right"] / samples,
        "top5_accuracy": totals["top5"] / samples,
        "balanced_accuracy": _macro(each["each_recall"]),
        "precision_macro": _macro(each["each_precision"]),
        "f1_macro": _macro(each["each_f1"]),
        "auc_macro": _macro(each["each_auc"]),
    }


def multilabel(totals: Totals) -> Figures:
    samples, sums = (
        totals["one"],
        {name: totals[name].sum(axis=1, keepdims=True) for name in ("hits", "predicted", "support")},
    )
    ranks = {f"each_{name}": np.clip(totals[name] / samples, 0, 1) for name in ("auc", "average_precision")}
    each = _decisions(totals) | ranks
    calibration = {name: _gap(totals[name], samples) for name in ("ece", "ece_calibrated") if name in totals}
    return {
        **each,
        **calibration,
        "map": _macro(each["each_average_precision"]),
        "precision_macro": _macro(each["each_precision"]),
        "recall_macro": _macro(each["each_recall"]),
        "f1_macro": _macro(each["each_f1"]),
        "f1_micro": _ratio(2 * sums["hits"], sums["predicted"] + sums["support"]),
        "auc_macro": _macro(each["each_auc"]),
        "exact_match": totals["right"] / samples,
    }


def regression(totals: Totals) -> Figures:
    samples = totals["one"]
    spread = totals["target_squared"] - totals["target"] ** 2 / samples
    each = {
        "each_mae": totals["absolute"] / samples,
        "each_rmse": np.sqrt(totals["squared"] / samples),
        "each_r2": 1 - _ratio(totals["squared"], spread),
    }
    return each | {name.removeprefix("each_"): _macro(figure) for name, figure in each.items()}


def segmentation(totals: Totals) -> Figures:
    overlap, both = totals["overlap"], totals["target"] + totals["predicted"]
    each = {"each_iou": _ratio(overlap, both - overlap), "each_dice": _ratio(2 * overlap, both)}
    pixels = totals["target"].sum(axis=1, keepdims=True)
    return {
        **each,
        "mean_iou": _macro(each["each_iou"]),
        "mean_dice": _macro(each["each_dice"]),
        "pixel_accuracy": _ratio(overlap.sum(axis=1, keepdims=True), pixels),
    }


def _decisions(totals: Totals) -> Figures:
    """Precision (0 for a class never predicted), recall and F1; NaN for a class without a sample."""
    hits, predicted, support = totals["hits"], totals["predicted"], totals["support"]
    return {
        "each_precision": np.where(support > 0, hits / np.maximum(predicted, 1), np.nan),
        "each_recall": _ratio(hits, support),
        "each_f1": np.where(support > 0, _ratio(2 * hits, predicted + support), np.nan),
    }


def _gap(sums: Array, samples: Array) -> Array:
    gap: Array = np.abs(sums).sum(axis=1, keepdims=True) / samples
    return gap


def _macro(each: Array) -> Array:
    """Mean over the classes that have samples; NaN if none has a figure."""
    defined = ~np.isnan(each)
    return _ratio(np.where(defined, each, 0).sum(axis=1, keepdims=True), defined.sum(axis=1, keepdims=True))


def _ratio(part: Array, whole: Array) -> Array:
    ratio: Array = np.where(whole > 0, part / np.where(whole > 0, whole, 1), np.nan)
    return ratio


def _one_hot(where: Array, width: int, weight: Array | None = None) -> Any:
    values = np.ones(len(where)) if weight is None else weight
    entries = (values.astype(np.float32), (np.arange(len(where)), where))
    return csr_array(entries, shape=(len(where), width))


def _rank_of_label(logits: Array, labels: Array) -> Array:
    """How many classes come before the labelled one; among equals the first comes first, as in argmax."""
    own = np.take_along_axis(logits, labels[:, None], axis=1)
    earlier = np.arange(logits.shape[1]) < labels[:, None]
    before: Array = ((logits > own) | ((logits == own) & earlier)).sum(axis=1)
    return before
