"""Any number of labels an image."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from models.calibration import fit_temperature, scaled_losses
from models.class_weights import give, of_labels
from models.distillation import sigmoid_distance
from models.evaluation import evaluate_multilabel
from models.named_metrics import named_metrics
from models.scores import Evaluation, Temperature
from models.task import ImageTask

Array = NDArray[Any]


class Multilabel(ImageTask):
    """Each label for itself: logits (B, labels), whose sigmoid is its probability, against 0 or 1 (B, labels).

    metrics: names of torchmetrics, or functions that make a metric once they know `num_labels`. class_weights: what a
    present label counts against an absent one; balanced: both the same over the training set. examples: (n, labels).
    """

    name = "multilabel"

    def __init__(
        self,
        metrics: Mapping[str, object] | list[str],
        num_classes: int,
        loss: nn.Module,
        examples: Tensor | None = None,
        class_weights: Literal["balanced"] | list[float] | None = None,
        kind: Literal["labels"] = "labels",
        **options: Any,
    ) -> None:
        made = named_metrics(metrics, task="multilabel" if num_classes > 1 else "binary", num_labels=num_classes)
        super().__init__(loss=loss, metrics=made, **options)
        self.num_classes = num_classes
        if class_weights is not None and examples is not None and len(examples):
            weighs_presence = any("pos_weight" in part._buffers for part in loss.modules())
            weights = of_labels(class_weights, examples.sum(0), len(examples))
            give(loss, "pos_weight" if weighs_presence else "weight", weights)

    def answer_shape(self, image: Tensor) -> tuple[int, ...]:
        return (self.num_classes,)

    def distance(self, logits: Tensor, taught: Tensor) -> Tensor:
        assert self.distill is not None
        return sigmoid_distance(logits, taught, self.distill.temperature)

    def prediction(self, logits: Tensor) -> Tensor:
        return logits.float().sigmoid()

    def truth(self, target: Tensor) -> Tensor:
        return target.int()

    def temperature(self, logits: Array, target: Array) -> float:
        return fit_temperature(logits, target)

    def costs(self, logits: Array, target: Array) -> Array:
        return scaled_losses(logits, target)

    def evaluation(self, logits: Array, target: Array, classes: Sequence[str], temperature: Temperature) -> Evaluation:
        assert not isinstance(temperature, list)
        return evaluate_multilabel(logits, target, classes, np.random.default_rng(0), temperature)
