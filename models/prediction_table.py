"""What a model says of labelled images as a table, one row an image, each task in its own columns."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datamodule.heads import IS, Head, heads_in
from datamodule.inventory import SEVERAL
from models.head_evaluation import of_head
from models.probabilities import label_probabilities, probabilities, temperatures
from models.scores import Task, Temperature

Array = NDArray[Any]
Fields = Iterator[list[str]]

MOST_COLUMNS = 200  # classes that get a column each
THRESHOLD = 0.5


def headings(task: Task, classes: Sequence[str]) -> list[str]:
    """Of the columns that `fields` gives."""
    shares = [f"p:{name}" for name in shown(classes)]
    return {
        "classification": ["label", "predicted", "probability", *shares],
        "heads": [heading for head in heads_in(classes) for heading in _of_head(head)],
        "multilabel": ["label", "predicted", *shares],
        "regression": [*classes, *(f"predicted:{name}" for name in classes)],
        "segmentation": ["right", *(f"iou:{name}" for name in shown(classes))],
    }[task]


def _of_head(head: Head) -> list[str]:
    own = [f"{heading}:{head.name}" for heading in ("label", "predicted", "probability")]
    return own + [f"p:{head.name}{IS}{name}" for name in shown(head.classes)]


def fields(task: Task, logits: Array, target: Array, classes: Sequence[str], temperature: Temperature = None) -> Fields:
    """Each image's fields, probabilities as the temperature scales them, which is how predict.py tells them.

    logits and targets as models.inference.Predictions has them.
    """
    one = None if isinstance(temperature, list) else temperature
    told: dict[Task, Callable[[Array, Array, Sequence[str]], Fields]] = {
        "classification": partial(_classes, temperature=one),
        "heads": partial(_heads, temperature=temperature),
        "multilabel": partial(_labels, temperature=one),
        "regression": _values,
        "segmentation": _masks,
    }
    return told[task](logits, target, classes)


def shown(classes: Sequence[str]) -> Sequence[str]:
    """All or none."""
    return classes if len(classes) <= MOST_COLUMNS else ()


def _classes(logits: Array, target: Array, classes: Sequence[str], temperature: float | None) -> Fields:
    for truth, own in zip(target, probabilities(logits, temperature or 1.0), strict=True):
        each = [f"{share:.6f}" for share in own] if shown(classes) else []
        yield [classes[truth], classes[own.argmax()], f"{own.max():.6f}", *each]


def _heads(logits: Array, target: Array, classes: Sequence[str], temperature: Temperature) -> Fields:
    heads = heads_in(classes)
    each = [
        _classes(logits[:, head.columns], of_head(target, head, place), head.classes, own)
        for place, (head, own) in enumerate(zip(heads, temperatures(temperature, heads), strict=True))
    ]
    for parts in zip(*each, strict=True):
        yield [field for part in parts for field in part]


def _labels(logits: Array, target: Array, classes: Sequence[str], temperature: float | None) -> Fields:
    names = np.array(classes, object)
    for truth, own in zip(target, label_probabilities(logits, temperature or 1.0), strict=True):
        each = [f"{share:.6f}" for share in own] if shown(classes) else []
        yield [SEVERAL.join(names[truth > 0]), SEVERAL.join(names[own >= THRESHOLD]), *each]


def _values(logits: Array, target: Array, classes: Sequence[str]) -> Fields:
    for truth, own in zip(target, logits, strict=True):
        yield [f"{value:.9g}" for value in (*truth, *own)]


def _masks(counts: Array, target: Array, classes: Sequence[str]) -> Fields:
    """The share of pixels that are right, and each class's IoU; empty where neither truth nor prediction has it."""
    for own in counts.astype(np.float64):
        overlap, either = np.diagonal(own), own.sum(0) + own.sum(1) - np.diagonal(own)
        each = [f"{part / whole:.6f}" if whole else "" for part, whole in zip(overlap, either, strict=True)]
        yield [f"{overlap.sum() / max(own.sum(), 1):.6f}", *(each if shown(classes) else [])]
