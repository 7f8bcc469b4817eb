"""The report of a finished run, put together from its predictions, its data and its configuration."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from datamodule.data import ImageData
from datamodule.heads import heads_in
from datamodule.inventory import SEVERAL
from models import report
from models.head_report import counts_of, named
from models.inference import example
from models.mask_pictures import painted
from models.prediction_sections import Judged, of_predictions
from models.run import Run
from models.value_report import value_distribution
from utils.report import Section, write_report

Array = NDArray[Any]
SHOWN_INPUTS = 16


def write_run_report(
    run: Run,
    config: Mapping[str, Any],
    facts: Mapping[str, str],
    judged: Judged,
    data: ImageData,
    net: nn.Module,
    further: Sequence[Section] = (),
) -> Path:
    """Writes report/index.html and its PNGs; answers the page's path. further: sections after the learning curves."""
    sections = [
        report.headline(judged.evaluation, judged.split, facts),
        report.learning_curves(run.metrics_file),
        *further,
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


def _distribution(data: ImageData) -> list[Section]:
    """How often each class, label or pixel of a class is in each split; how the values are spread."""
    splits = [split for split, images in data.sizes.items() if images and split != "pool"]
    targets = {split: data.target[data.inventory.rows(split)].numpy() for split in splits}
    if data.kind == "values":
        return [value_distribution(targets, data.classes)]
    if data.kind == "heads":
        return _of_each_head(targets, data.classes)
    counts = {split: _counts(target, len(data.classes)) for split, target in targets.items()}
    unit = {"labels": "labels", "masks": "pixels"}.get(data.kind, "images")
    return [report.class_distribution(counts, data.classes, unit)]


def _of_each_head(targets: Mapping[str, Array], classes: Sequence[str]) -> list[Section]:
    sections = []
    for place, head in enumerate(heads_in(classes)):
        counts = {split: counts_of(target, head, place) for split, target in targets.items()}
        sections += named([report.class_distribution(counts, head.classes)], head)
    return sections


def _counts(target: Array, classes: int) -> Array:
    """Of each class (classes,). target: class numbers (n,), or how much of each class an image has (n, classes)."""
    counts: Array = np.bincount(target, minlength=classes) if target.ndim == 1 else target.sum(0)
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
    names = [str(told[row]).strip(SEVERAL).replace(SEVERAL, ", ") for row in batch.index[:SHOWN_INPUTS].tolist()]
    masks = batch.target[:SHOWN_INPUTS].numpy() if data.kind == "masks" else None
    shown = (
        list(images) if masks is None else [painted(one / 255, mask) for one, mask in zip(images, masks, strict=True)]
    )
    return report.inputs(shown, names)
