"""What a report says of a network's answers, task by task: from predictions, data and network to sections."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from datamodule.data import ImageData
from datamodule.heads import heads_in
from models import report
from models.calibration import reliability
from models.confusion import confusion, most_wrong
from models.grad_cam import grad_cam, overlaid
from models.head_evaluation import evaluate_each
from models.head_report import Part, named, predictions_of
from models.inference import Predictions
from models.mask_pictures import mask_section
from models.probabilities import label_probabilities, probabilities, temperatures
from models.scores import Evaluation, Temperature
from models.value_report import overlap, residuals
from models.worst import worst_labels, worst_values
from utils.report import Section

Array = NDArray[Any]
HEATED_AT_ONCE = 4  # images whose gradients are held at a time


@dataclass(frozen=True)
class Judged:
    """One split of a run: what the network said and how good that is."""

    split: str
    predictions: Predictions
    evaluation: Evaluation
    temperature: Temperature


def of_predictions(judged: Judged, data: ImageData, net: nn.Module) -> list[Section]:
    """What the network says of one split, and how wrong that is."""
    of_task = {"heads": _of_heads, "multilabel": _of_labels, "regression": _of_values, "segmentation": _of_masks}
    if judged.evaluation.task in of_task:
        return of_task[judged.evaluation.task](judged, data, net)
    return _of_classes(judged, data, net, data.classes)


def _of_classes(judged: Judged, data: ImageData, net: nn.Module, classes: Sequence[str]) -> list[Section]:
    found = judged.predictions
    probs = probabilities(found.logits, _scale(judged))
    counts = confusion(found.target, found.logits.argmax(1), len(classes))
    return [
        report.confusions(counts, classes),
        report.per_class(judged.evaluation),
        _calibration(judged),
        report.failures(_failures(found, probs, data, net, classes)),
    ]


def _of_heads(judged: Judged, data: ImageData, net: nn.Module) -> list[Section]:
    found, heads = judged.predictions, heads_in(data.classes)
    rng = np.random.default_rng(0)
    each = evaluate_each(found.logits, found.target, data.classes, rng, judged.temperature)
    sections = []
    for place, (head, own) in enumerate(zip(heads, temperatures(judged.temperature, heads), strict=True)):
        of_head = Judged(judged.split, predictions_of(found, head, place), each[head.name], own)
        sections += named(_of_classes(of_head, data, Part(net, head.columns), head.classes), head)
    return sections


def _of_labels(judged: Judged, data: ImageData, net: nn.Module) -> list[Section]:
    found = judged.predictions
    probs = label_probabilities(found.logits, _scale(judged))

    def heat(image: Array, label: int) -> Array | None:
        return _heats([image], data, Part(net, slice(label, label + 1)))[0]

    return [
        report.per_class(judged.evaluation),
        _label_calibration(judged),
        worst_labels(found, probs, data, heat),
    ]


def _of_values(judged: Judged, data: ImageData, net: nn.Module) -> list[Section]:
    found = judged.predictions
    several = [report.per_class(judged.evaluation)] if len(data.classes) > 1 else []
    return [
        report.regression(found.logits, found.target, data.classes),
        residuals(found.logits, found.target, data.classes),
        *several,
        worst_values(found, data),
    ]


def _of_masks(judged: Judged, data: ImageData, net: nn.Module) -> list[Section]:
    pixels = judged.predictions.logits.sum(axis=0)
    return [
        mask_section(judged.predictions, data, net),
        report.per_class(judged.evaluation),
        overlap(judged.predictions.logits, data.classes),
        report.confusions(pixels, data.classes, "Pixels"),
    ]


def _scale(judged: Judged) -> float:
    assert not isinstance(judged.temperature, list)
    return judged.temperature or 1.0


def _calibration(judged: Judged) -> Section:
    found = judged.predictions
    right = found.logits.argmax(1) == found.target
    raw = reliability(probabilities(found.logits).max(1), right)
    if judged.temperature is None:
        return report.calibration(raw)
    scaled = probabilities(found.logits, _scale(judged))
    return report.calibration(raw, reliability(scaled.max(1), right), _scale(judged))


def _label_calibration(judged: Judged) -> Section:
    """Whether labels are present as often as their probabilities say, all labels together."""
    found = judged.predictions
    present = found.target.astype(bool).ravel()
    raw = reliability(label_probabilities(found.logits).ravel(), present)
    if judged.temperature is None:
        return report.calibration(raw, unit="labels")
    scaled = reliability(label_probabilities(found.logits, _scale(judged)).ravel(), present)
    return report.calibration(raw, scaled, _scale(judged), "labels")


def _failures(
    found: Predictions, probs: Array, data: ImageData, net: nn.Module, classes: Sequence[str]
) -> list[report.Failure]:
    places = most_wrong(probs, found.target)
    read = data.reader(data.inventory)
    images = [read(int(found.rows[place])) for place in places]
    return [
        report.Failure(
            image=image,
            file=str(data.inventory.path[found.rows[place]]),
            true=classes[found.target[place]],
            predicted=classes[probs[place].argmax()],
            probability=float(probs[place].max()),
            heat=heat,
        )
        for place, image, heat in zip(places, images, _heats(images, data, net), strict=True)
    ]


def _heats(images: Sequence[Array], data: ImageData, net: nn.Module) -> Sequence[Array | None]:
    """Where the network looks, drawn over what it sees of each image; None where nothing speaks for its answer, or the
    network tells no such thing."""
    if not images:
        return []
    seen = np.stack([data.preprocessing.fit(image) for image in images])
    device = next(net.parameters()).device
    whole = data.normalize(torch.from_numpy(seen).to(device).permute(0, 3, 1, 2))
    heats = [grad_cam(net, part) for part in whole.split(HEATED_AT_ONCE)]
    if any(heat is None for heat in heats):
        return [None] * len(images)
    pairs = zip(seen, np.concatenate([*heats]), strict=True)
    return [overlaid(image, heat) if heat.any() else None for image, heat in pairs]
