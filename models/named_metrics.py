"""torchmetrics by name, several at once: task.metrics=[Accuracy,F1Score], or a dict of name → node or name."""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torchmetrics
from torchmetrics import Metric

from models.figures import snake_case
from utils.signature import nearest

Metrics = Mapping[str, Any] | Sequence[str]


def named_metrics(metrics: Metrics, **known: Any) -> dict[str, Metric]:
    """Each metric by the name it is logged under.

    known: what the task knows of its targets (task, num_classes, …); each metric gets what it takes of it.
    """
    named = metrics if isinstance(metrics, Mapping) else {snake_case(name): name for name in metrics}
    return {name: _made(metric, known) for name, metric in named.items() if metric is not None}


def _made(metric: Any, known: dict[str, Any]) -> Metric:
    if isinstance(metric, Metric):
        return metric
    if not isinstance(metric, str):
        return metric(**{name: value for name, value in known.items() if name != "task"})
    kind = getattr(torchmetrics, metric, None)
    if not inspect.isclass(kind) or not issubclass(kind, Metric):
        raise ValueError(f"task.metrics: torchmetrics has no {metric}; {nearest(metric, torchmetrics.__all__)}")
    maker: Any = kind.__new__ if "__new__" in vars(kind) else kind.__init__
    takes = inspect.signature(maker).parameters
    if ("task" in takes) != ("task" in known) and not {"num_classes", "num_labels"} & takes.keys() & known.keys():
        others = "Accuracy, F1Score or AUROC" if "task" in known else "MeanAbsoluteError or R2Score"
        raise ValueError(f"task.metrics: {metric} does not fit what this task learns; name others, such as {others}")
    wanted = known if metric == "Accuracy" else {"average": "macro", **known}  # a micro F1 is the accuracy again
    return kind(**{name: value for name, value in wanted.items() if name in takes})


@contextmanager
def counting() -> Iterator[None]:
    """Lets torchmetrics count by torch.bincount, whose whole numbers are the same in any order.

    Where deterministic algorithms are asked for it compares each pixel with each pair of classes: 8 bytes for each of
    them, 11 GB for 64 masks of 224 x 224 pixels and 21 classes.
    """
    mode = torch.get_deterministic_debug_mode()
    torch.set_deterministic_debug_mode("default")
    try:
        yield
    finally:
        torch.set_deterministic_debug_mode(mode)
