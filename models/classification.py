"""One label an image."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn
from torchmetrics import Metric

from models.calibration import fit_temperature
from models.evaluation import evaluate_classification
from models.scores import Evaluation
from models.task import ImageTask

Array = NDArray[Any]


class Classification(ImageTask):
    """Cross-entropy-like losses on logits (B, classes) against a class number (B,) or class shares (B, classes).

    metrics: functions that make a torchmetrics metric once they know `num_classes`.
    """

    def __init__(
        self, metrics: Mapping[str, Callable[..., Metric]], num_classes: int, loss: nn.Module, **options: Any
    ) -> None:
        made = {name: make(num_classes=num_classes) for name, make in metrics.items()}
        super().__init__(loss=loss, metrics=made, **options)

    def temperature(self, logits: Array, target: Array) -> float:
        return fit_temperature(logits, target)

    def evaluation(self, logits: Array, target: Array, classes: Sequence[str], temperature: float | None) -> Evaluation:
        return evaluate_classification(logits, target, classes, np.random.default_rng(0), temperature)
