"""How good predictions are on a labelled set, each figure with its bootstrap interval, for all four tasks."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models import merit
from models.probabilities import label_probabilities, probabilities
from models.ranking import auc, average_precision
from models.scores import PLAIN_NUMBERS, ClassScores, Evaluation, Score, Task
from utils.statistics import Interval, Intervals, bootstrap, wilson

Array = NDArray[Any]

_CALIBRATION = frozenset({"ece", "ece_calibrated"})


def evaluate_classification(
    logits: Array,
    labels: Array,
    classes: Sequence[str],
    rng: np.random.Generator,
    temperature: float | None = None,
    repeats: int = 1000,
) -> Evaluation:
    """Accuracy, balanced accuracy, macro and per-class precision, recall, F1 and AUC, and calibration error.

    logits: (images, classes), log-probabilities serve too; labels: (images,) class numbers.
    temperature: fitted on the validation split (models.calibration); adds the calibration error after scaling.
    Top-5 accuracy is given where there are more than five classes.
    """
    logits, labels = _finite("logits", logits), np.asarray(labels)
    _check_labels(logits, labels, classes)
    columns = merit.classification_columns(logits, labels, len(classes))
    names = ["accuracy", "top5_accuracy", "balanced_accuracy", "precision_macro", "f1_macro", "auc_macro", "ece"]
    if temperature is not None:
        right = logits.argmax(axis=1) == labels
        columns["ece_calibrated"] = merit.gaps(probabilities(logits, temperature), right)
        names.append("ece_calibrated")
    if len(classes) <= 5:
        names.remove("top5_accuracy")
    found = bootstrap(columns, merit.classification, rng, repeats, pivotal=_CALIBRATION)
    support = np.bincount(labels, minlength=len(classes))
    own = ["precision", "recall", "f1", "auc"]
    return _evaluation("classification", len(labels), found, names, own, classes, support)


def evaluate_multilabel(
    logits: Array,
    labels: Array,
    classes: Sequence[str],
    rng: np.random.Generator,
    temperature: float | None = None,
    repeats: int = 1000,
) -> Evaluation:
    """Mean average precision, calibration error, and precision, recall and F1 of labels called at one half.

    logits: (images, labels), sigmoid of each is its probability; labels: (images, labels) of 0 and 1.
    temperature: adds the calibration error after scaling.
    """
    logits, labels = _finite("logits", logits), np.asarray(labels)
    if labels.shape != logits.shape or logits.shape[1:] != (len(classes),) or not np.isin(labels, (0, 1)).all():
        raise ValueError(f"labels must be 0 or 1, shaped as the logits {logits.shape}; got {labels.shape}")
    columns = multilabel_columns(logits, labels) | {"ece": merit.label_gaps(label_probabilities(logits), labels)}
    names = ["map", "f1_macro", "f1_micro", "precision_macro", "recall_macro", "auc_macro", "exact_match", "ece"]
    if temperature is not None:
        columns["ece_calibrated"] = merit.label_gaps(label_probabilities(logits, temperature), labels)
        names.append("ece_calibrated")
    found = bootstrap(columns, merit.multilabel, rng, repeats, pivotal=_CALIBRATION)
    own = ["average_precision", "precision", "recall", "f1", "auc"]
    return _evaluation("multilabel", len(labels), found, names, own, classes, labels.astype(bool).sum(axis=0))


def multilabel_columns(logits: Array, labels: Array) -> dict[str, Array]:
    """What each image adds to the sums of merit.multilabel; shapes as of evaluate_multilabel."""
    present, called = labels.astype(bool), logits > 0
    return {
        "one": merit.column(np.ones(len(labels))),
        "right": merit.column((present == called).all(axis=1)),
        "hits": (present & called).astype(np.float32),
        "predicted": called.astype(np.float32),
        "support": present.astype(np.float32),
        "average_precision": merit.per_class(average_precision, logits, present),
        "auc": merit.per_class(auc, logits, present),
    }


def evaluate_regression(
    predicted: Array, target: Array, names: Sequence[str], rng: np.random.Generator, repeats: int = 1000
) -> Evaluation:
    """MAE, RMSE and R², the mean over the targets and each target's own.

    predicted, target: (images, targets) or (images,) where there is one.
    """
    predicted, target = (_finite("values", np.reshape(v, (-1, len(names)))) for v in (predicted, target))
    if predicted.shape != target.shape:
        raise ValueError(f"predictions and targets differ in shape: {predicted.shape} and {target.shape}")
    found = bootstrap(regression_columns(predicted, target), merit.regression, rng, repeats)
    scores = ["mae", "rmse", "r2"]
    support = np.full(len(names), len(target))
    return _evaluation("regression", len(target), found, scores, scores, names, support)


def regression_columns(predicted: Array, target: Array) -> dict[str, Array]:
    """What each image adds to the sums of merit.regression. predicted, target: (images, targets)."""
    error, centred = predicted - target, target - target.mean(axis=0)
    return {
        "one": merit.column(np.ones(len(target))),
        "absolute": np.abs(error),
        "squared": error**2,
        "target": centred,
        "target_squared": centred**2,
    }


def evaluate_segmentation(
    confusion: Array, classes: Sequence[str], rng: np.random.Generator, repeats: int = 1000
) -> Evaluation:
    """Mean IoU and Dice, pixel accuracy and each class's own; images, not pixels, are resampled.

    confusion: (images, classes, classes) pixel counts, true class by row, predicted by column.
    """
    confusion = np.asarray(confusion)
    if confusion.ndim != 3 or confusion.shape[1:] != (len(classes), len(classes)):
        raise ValueError(f"the counts must be (images, {len(classes)}, {len(classes)}), got {confusion.shape}")
    found = bootstrap(segmentation_columns(confusion), merit.segmentation, rng, repeats)
    names, support = ["mean_iou", "mean_dice", "pixel_accuracy"], confusion.sum(axis=(0, 2), dtype=np.int64)
    return _evaluation("segmentation", len(confusion), found, names, ["iou", "dice"], classes, support)


def segmentation_columns(confusion: Array) -> dict[str, Array]:
    """What each image adds to the sums of merit.segmentation. confusion: as of evaluate_segmentation."""
    return {
        "overlap": np.diagonal(confusion, axis1=1, axis2=2).astype(np.float64),
        "target": confusion.sum(axis=2, dtype=np.float64),
        "predicted": confusion.sum(axis=1, dtype=np.float64),
    }


def _evaluation(
    task: Task,
    images: int,
    found: dict[str, Intervals],
    names: Sequence[str],
    own: Sequence[str],
    classes: Sequence[str],
    support: Array,
) -> Evaluation:
    """The figures `names` of all and `own` of each class, taken from the bootstrap's result."""
    overall = {name: _honest(name, found[name][0], images) for name in names}
    each = [
        ClassScores(c, int(n), {name: _honest(name, found[f"each_{name}"][k], int(n)) for name in own})
        for k, (c, n) in enumerate(zip(classes, support, strict=True))
    ]
    scores = tuple(Score(name, interval) for name, interval in overall.items() if interval is not None)
    undefined = tuple(name for name, interval in overall.items() if interval is None)
    return Evaluation(task, images, scores, undefined, tuple(each), tuple(one.name for one in each if not one.support))


def _honest(name: str, interval: Interval | None, count: int) -> Interval | None:
    """A range that errs on the safe side where resampling cannot: no mistake seen does not mean none will come.

    A share of exactly 0 or 1 has no spread in any resample; Wilson's range of as many trials stands in.
    """
    if interval is None or name in PLAIN_NUMBERS or not count:  # predicted alone: a class of no pixel has an IoU of 0
        return interval
    if name in _CALIBRATION:
        return Interval(interval.value, max(interval.low, 0.0), interval.high)
    if interval.low == interval.high and interval.value in (0.0, 1.0):
        return wilson(round(interval.value * count), count)
    return interval


def _finite(what: str, values: Array) -> Array:
    values = np.asarray(values, np.float64)
    if not np.isfinite(values).all():
        rows = np.flatnonzero(~np.isfinite(values).reshape(len(values), -1).all(axis=1))
        raise ValueError(f"{len(rows)} of {len(values)} {what} hold NaN or infinity, the first in row {rows[0]}")
    return values


def _check_labels(logits: Array, labels: Array, classes: Sequence[str]) -> None:
    if logits.shape != (len(labels), len(classes)) or not len(labels):
        raise ValueError(f"{len(labels)} labels and {len(classes)} classes do not fit logits of shape {logits.shape}")
    outside = np.flatnonzero((labels < 0) | (labels >= len(classes)))
    if outside.size:
        raise ValueError(
            f"{outside.size} labels are no number of the {len(classes)} classes, the first is {labels[outside[0]]} in"
            f" row {outside[0]}; leave unlabelled images (-1) out of an evaluation"
        )
