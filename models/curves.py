"""Learning curves out of metrics.csv, one chart a figure."""

import csv
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from models.scores import PLAIN_NUMBERS, TITLES
from utils.charts import Axis, Chart, Series

Points = tuple[list[float], list[float]]  # steps and values

STAGES = ("train", "val", "test")
NO_FIGURES = ("step", "epoch", "time")
SHARES = (TITLES.keys() - PLAIN_NUMBERS) | {"f1_score", "jaccard_index", "auroc"}  # by torchmetrics' names, too
MOST_POINTS = 400  # of a curve; more are averaged in neighbourhoods


def curve_charts(metrics_csv: Path) -> list[Chart]:
    """Loss first, learning rates last. Columns are `<stage>/<figure>` over `step`; empty cells and NaN are left out."""
    curves = _curves(metrics_csv)
    return [_chart(metric, curves[metric]) for metric in sorted(curves, key=_order)]


def _curves(metrics_csv: Path) -> dict[str, dict[str, Points]]:
    """metric → stage → steps and values."""
    curves: dict[str, dict[str, Points]] = {}
    with metrics_csv.open(newline="") as file:
        for row in csv.DictReader(file):
            for column, value in row.items():
                if column in NO_FIGURES or not value or not math.isfinite(float(value)):
                    continue
                stage, metric = _stage_and_metric(column)
                steps, values = curves.setdefault(metric, {}).setdefault(stage, ([], []))
                steps.append(float(row["step"]))
                values.append(float(value))
    return curves


def _stage_and_metric(column: str) -> tuple[str, str]:
    """("val", "loss") of "val/loss" or "val_loss"; no stage where none leads the name."""
    found = re.fullmatch(r"(train|val|test)[/_](.+?)(?:_epoch)?", column)
    return (found[1], found[2]) if found else ("", column)


def _order(metric: str) -> tuple[int, str]:
    rate = metric.startswith("lr") or "learning_rate" in metric
    return (0 if metric == "loss" else 2 if rate else 1, metric)


def _chart(metric: str, stages: Mapping[str, Points]) -> Chart:
    order = sorted(stages, key=lambda stage: STAGES.index(stage) if stage in STAGES else len(STAGES))
    series = tuple(_curve(stage, *stages[stage]) for stage in order)
    head, _, figure = metric.rpartition("/")  # of several heads
    words = "learning rate" if metric == "lr" else figure.replace("_", " ")
    share = figure in SHARES
    title = TITLES.get(figure, words[:1].upper() + words[1:]) + (f", {head}" if head else "")
    if len(order) == 1 and order[0]:
        title += f" ({order[0]})"
    name = re.sub(r"[^A-Za-z0-9_.-]+", "_", f"curve_{metric}")
    return Chart(
        name, title, series, Axis("step", whole=True), Axis(percent=share, range=_around(series) if share else None)
    )


def _around(series: Sequence[Series]) -> tuple[float, float]:
    """Ends of an axis of shares, which never leave 0 to 1, for curves that are level, too."""
    values = np.concatenate([one.y for one in series])
    room = 0.02 + 0.08 * float(np.ptp(values))
    return max(float(values.min()) - room, 0.0), min(float(values.max()) + room, 1.005)


def _curve(stage: str, steps: list[float], values: list[float]) -> Series:
    near = -(-len(steps) // MOST_POINTS)
    x = [float(np.mean(steps[start : start + near])) for start in range(0, len(steps), near)]
    y = [float(np.mean(values[start : start + near])) for start in range(0, len(values), near)]
    return Series(stage or "value", x, y, stage or "accent", "marked" if len(x) <= 12 else "line")
