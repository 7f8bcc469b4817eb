"""The report of a finished run, put together from its predictions, its data and its configuration."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from datamodule.data import ImageData
from models import report
from models.calibration import probabilities, reliability
from models.confusion import confusion, most_wrong
from models.grad_cam import grad_cam, overlaid
from models.inference import Predictions, example
from models.mask_pictures import mask_section
from models.runs import Run
from models.scores import Evaluation
from utils.report import Section, write_report

Array = NDArray[Any]
SHOWN_INPUTS = 16
HEATED_AT_ONCE = 4  # images whose gradients are held at a time


@dataclass(frozen=True)
class Judged:
    """One split of a run: what the network said and how good that is."""

    split: str
    predictions: Predictions
    evaluation: Evaluation
    temperature: float | None


def write_run_report(
    run: Run, config: Mapping[str, Any], facts: Mapping[str, str], judged: Judged, data: ImageData, net: nn.Module
) -> Path:
    """Writes report/index.html and its PNGs; answers the page's path."""
    sections = [
        report.headline(judged.evaluation, judged.split, facts),
        report.learning_curves(run.metrics_file),
        *of_predictions(judged, data, net),
        *of_data(data),
        report.configuration(
            {key: config[key] for key in config if key != "record"}, run.read()["record"]["environment"]
        ),
    ]
    title = f"{run.folder.parent.name} / {run.folder.name}"
    return write_report(run.report, title, sections)


def of_data(data: ImageData) -> list[Section]:
    """What was trained on, whatever the network says of it."""
    return [*_distribution(data), *_sampling(data), _inputs(data)]


def write_test_report(
    folder: Path, title: str, facts: Mapping[str, str], judged: Judged, data: ImageData, net: nn.Module
) -> Path:
    """The same of a test: without what only a training has."""
    headline = report.headline(judged.evaluation, judged.split, facts)
    return write_report(folder, title, [headline, *of_predictions(judged, data, net), *_distribution(data)])


def of_predictions(judged: Judged, data: ImageData, net: nn.Module) -> list[Section]:
    """What the network says of one split, and how wrong that is."""
    of_task = {"multilabel": _of_labels, "regression": _of_values, "segmentation": _of_masks}
    return of_task.get(judged.evaluation.task, _of_classes)(judged, data, net)


def _of_labels(judged: Judged, data: ImageData, net: nn.Module) -> list[Section]:
    return [report.per_class(judged.evaluation)]


def _of_values(judged: Judged, data: ImageData, net: nn.Module) -> list[Section]:
    found = judged.predictions
    several = [report.per_class(judged.evaluation)] if len(data.classes) > 1 else []
    return [report.regression(found.logits, found.target, data.classes), *several]


def _of_masks(judged: Judged, data: ImageData, net: nn.Module) -> list[Section]:
    pixels = judged.predictions.logits.sum(axis=0)
    return [
        report.confusions(pixels, data.classes, "Pixels"),
        report.per_class(judged.evaluation),
        mask_section(judged.predictions, data, net),
    ]


def _of_classes(judged: Judged, data: ImageData, net: nn.Module) -> list[Section]:
    found = judged.predictions
    probs = probabilities(found.logits)
    counts = confusion(found.target, found.logits.argmax(1), len(data.classes))
    return [
        report.confusions(counts, data.classes),
        report.per_class(judged.evaluation),
        _calibration(judged, probs),
        report.failures(_failures(found, probs, data, net)),
    ]


def _calibration(judged: Judged, probs: Array) -> Section:
    right = judged.predictions.logits.argmax(1) == judged.predictions.target
    raw = reliability(probs.max(1), right)
    if judged.temperature is None:
        return report.calibration(raw)
    scaled = probabilities(judged.predictions.logits, judged.temperature)
    return report.calibration(raw, reliability(scaled.max(1), right), judged.temperature)


def _failures(found: Predictions, probs: Array, data: ImageData, net: nn.Module) -> list[report.Failure]:
    places = most_wrong(probs, found.target)
    read = data.reader(data.inventory)
    images = [read(int(found.rows[place])) for place in places]
    return [
        report.Failure(
            image=image,
            file=str(data.inventory.path[found.rows[place]]),
            true=data.classes[found.target[place]],
            predicted=data.classes[probs[place].argmax()],
            probability=float(probs[place].max()),
            heat=heat,
        )
        for place, image, heat in zip(places, images, _heats(images, data, net), strict=True)
    ]


def _heats(images: Sequence[Array], data: ImageData, net: nn.Module) -> Sequence[Array | None]:
    """Where the network looks, drawn over what it sees of each image; None of a network that tells no such thing."""
    if not images:
        return []
    seen = np.stack([data.preprocessing.fit(image) for image in images])
    device = next(net.parameters()).device
    whole = data.normalize(torch.from_numpy(seen).to(device).permute(0, 3, 1, 2))
    heats = [grad_cam(net, part) for part in whole.split(HEATED_AT_ONCE)]
    if any(heat is None for heat in heats):
        return [None] * len(images)
    return [overlaid(*pair) for pair in zip(seen, np.concatenate([*heats]), strict=True)]


def _distribution(data: ImageData) -> list[Section]:
    """How often each class, label or pixel of a class is in each split; nothing of values."""
    if data.kind == "values":
        return []
    splits = [split for split, images in data.sizes.items() if images and split != "pool"]
    counts = {split: _counts(data.target[data.inventory.rows(split)], len(data.classes)) for split in splits}
    unit = {"labels": "labels", "masks": "pixels"}.get(data.kind, "images")
    return [report.class_distribution(counts, data.classes, unit)]


def _counts(target: Tensor, classes: int) -> Array:
    """Of each class (classes,). target: class numbers (n,), or how much of each class an image has (n, classes)."""
    counts: Array = (target.bincount(minlength=classes) if target.ndim == 1 else target.sum(0)).numpy()
    return counts


def _sampling(data: ImageData) -> list[Section]:
    """The classes of one epoch as drawn, beside those that are there; nothing where sampling is plain."""
    if not data.weighted_sampling:
        return []
    codes = data.inventory.codes()
    drawn = np.concatenate([key.row for key in data.train_dataloader().sampler])
    both = (data.inventory.rows("train"), drawn)
    natural, seen = (np.bincount(codes[rows], minlength=len(data.classes)) for rows in both)
    return [report.weighted_sampling(natural, seen, data.classes)]


def _inputs(data: ImageData) -> Section:
    batch = example(data, torch.device("cpu"))
    mean, std = (torch.tensor(part)[:, None, None] for part in (data.preprocessing.mean, data.preprocessing.std))
    images = ((batch.image[:SHOWN_INPUTS] * std + mean).clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy()
    told = data.inventory.path if data.kind == "masks" else data.inventory.label
    names = [told[row] for row in batch.index[:SHOWN_INPUTS].tolist()]
    return report.inputs(list(images), [str(name) for name in names])
