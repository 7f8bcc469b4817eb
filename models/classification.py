"""One label an image."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from models.calibration import fit_temperature, scaled_losses
from models.class_weights import give, of_classes
from models.evaluation import evaluate_classification
from models.heads import Heads
from models.named_metrics import named_metrics
from models.scores import Evaluation, Temperature
from models.task import ImageTask

Array = NDArray[Any]


def classifier(
    metrics: Mapping[str, object] | list[str],
    num_classes: int | dict[str, int] | None = None,
    class_weights: Literal["balanced"] | list[float] | None = None,
    head_weights: dict[str, float] | None = None,
    kind: Literal["classes"] = "classes",
    **options: Any,
) -> ImageTask:
    """One class an image or, where num_classes is a number for each head, one of each head."""
    shared: dict[str, Any] = {"metrics": metrics, "class_weights": class_weights, **options}
    if isinstance(num_classes, dict):
        return Heads(num_classes=num_classes, head_weights=head_weights, **shared)
    assert num_classes is not None  # handed in
    if head_weights is not None:
        raise ValueError(f"task.head_weights={head_weights} needs several heads: task.num_classes={{digit: 10, …}}")
    return Classification(num_classes=num_classes, **shared)


class Classification(ImageTask):
    """Cross-entropy-like losses on logits (B, classes) against a class number (B,) or class shares (B, classes).

    metrics: names of torchmetrics, or functions that make a metric once they know `num_classes`. class_weights: of the
    loss; balanced: each class counts the same. examples: (n,) the training images' classes.
    """

    name = "classification"

    def __init__(
        self,
        metrics: Mapping[str, object] | list[str],
        num_classes: int,
        loss: nn.Module,
        examples: Tensor | None = None,
        class_weights: Literal["balanced"] | list[float] | None = None,
        kind: Literal["classes"] = "classes",
        **options: Any,
    ) -> None:
        made = named_metrics(metrics, task="multiclass", num_classes=num_classes)
        super().__init__(loss=loss, metrics=made, **options)
        self.num_classes = num_classes
        if class_weights is not None and examples is not None and len(examples):
            give(loss, "weight", of_classes(class_weights, examples.bincount(minlength=num_classes)))

    def answer_shape(self, image: Tensor) -> tuple[int, ...]:
        return (self.num_classes,)

    def temperature(self, logits: Array, target: Array) -> float:
        return fit_temperature(logits, target)

    def costs(self, logits: Array, target: Array) -> Array:
        return scaled_losses(logits, target)

    def evaluation(self, logits: Array, target: Array, classes: Sequence[str], temperature: Temperature) -> Evaluation:
        assert not isinstance(temperature, list)
        return evaluate_classification(logits, target, classes, np.random.default_rng(0), temperature)
