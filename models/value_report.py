"""Sections about numbers: how residuals and values are spread, and how well masks overlap, image by image."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from utils.charts import Axis, Chart, Series
from utils.report import Charts, Section

Array = NDArray[Any]

FEWEST_BARS, MOST_BARS = 8, 24
GROUPS = 10  # of images with about the same prediction


def residuals(predicted: Array, target: Array, names: Sequence[str]) -> Section:
    """Errors over predictions, and whether a prediction holds on average. predicted, target: (images, targets)."""
    charts = [chart for k, name in enumerate(names) for chart in _of_target(predicted[:, k], target[:, k], name, k)]
    note = "Predicted minus true value. A slope or a funnel says where the model errs more."
    note += " Beside it the mean true value of images predicted about alike: on the dotted line it is as predicted."
    return Section("Residuals", (Charts(tuple(charts)),), note)


def _of_target(predicted: Array, target: Array, name: str, number: int) -> tuple[Chart, Chart]:
    ends = [float(predicted.min()), float(predicted.max())]
    zero = Series("exact", ends, [0.0, 0.0], "soft", dashed=True)
    errors = Series("images", predicted, predicted - target, kind="points")
    residual = Chart(f"residuals_{number}", f"{name}: residuals", (zero, errors), Axis("predicted"),
                     Axis("predicted − true"), square=True, legend=False)  # fmt: skip
    groups = np.array_split(np.argsort(predicted, kind="stable"), min(GROUPS, len(predicted)))
    mean, truth = ([float(values[group].mean()) for group in groups] for values in (predicted, target))
    line = Series("perfect", ends, ends, "soft", dashed=True)
    held = Series("mean of the images", mean, truth, "accent", "marked")
    calibration = Chart(f"calibration_{number}", f"{name}: true on average", (line, held), Axis("predicted"),
                        Axis("true, mean"), square=True, legend=False)  # fmt: skip
    return residual, calibration


def value_distribution(targets: Mapping[str, Array], names: Sequence[str]) -> Section:
    """How each target is spread in every split. targets: split → (images, targets)."""
    charts = [
        histogram(f"values_{k}", name, {split: found[:, k] for split, found in targets.items()}, Axis(name))
        for k, name in enumerate(names)
    ]
    sizes = ", ".join(f"{len(found):,} {split}" for split, found in targets.items())
    return Section("Data", (Charts(tuple(charts)),), f"Share of the images by value: {sizes} images.")


def overlap(confusion: Array, classes: Sequence[str]) -> Section:
    """How images differ in their IoU, class by class. confusion: (images, classes, classes) pixels."""
    both = confusion.sum(axis=1) + confusion.sum(axis=2)
    shared = np.diagonal(confusion, axis1=1, axis2=2)
    found = np.where(both > shared, shared / np.maximum(both - shared, 1), np.nan)  # (images, classes)
    charts = []
    for k, name in enumerate(classes):
        own = found[:, k][~np.isnan(found[:, k])]
        if own.size:
            axis = Axis("IoU", percent=True, range=(0, 1))
            charts.append(histogram(f"iou_{k}", name, {"images": own}, axis, (0.0, 1.0)))
    note = "Images by the IoU of each class; those that neither show nor are said to show it are left out."
    return Section("Overlap", (Charts(tuple(charts)),), note)


def histogram(
    name: str, title: str, values: Mapping[str, Array], axis: Axis, ends: tuple[float, float] | None = None
) -> Chart:
    """Shares of one or several sets of numbers in bins that they share. values: by their names."""
    everything = np.concatenate([*values.values()])
    bars = int(np.clip(np.sqrt(len(everything)), FEWEST_BARS, MOST_BARS))
    edges = np.histogram_bin_edges(everything, bars, ends)
    centres = (edges[1:] + edges[:-1]) / 2
    color = {"train": "train", "val": "val", "test": "test"}
    series = tuple(
        Series(what, centres, np.histogram(own, edges)[0] / max(len(own), 1), color.get(what, "accent"),
               "bar" if len(values) == 1 else "step")
        for what, own in values.items()
    )  # fmt: skip
    return Chart(name, title, series, axis, Axis("images", percent=True))
