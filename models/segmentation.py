"""A class for each pixel."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from datamodule.transforms import IGNORED
from models.class_weights import give, of_classes
from models.evaluation import evaluate_segmentation, segmentation_columns
from models.named_metrics import named_metrics
from models.scores import Evaluation, Temperature
from models.task import ImageTask

Array = NDArray[Any]


class Segmentation(ImageTask):
    """Losses on logits (B, classes, H, W) against masks (B, H, W) of class numbers, 255 where a pixel does not count.

    metrics: names of torchmetrics, or functions that make a metric once they know `num_classes` and `ignore_index`.
    class_weights: of the loss; balanced: each class counts the same. examples: (n, classes) pixels of each class in
    the training images.
    """

    name = "segmentation"
    says_probabilities = False

    def __init__(
        self,
        metrics: Mapping[str, object] | list[str],
        num_classes: int,
        loss: nn.Module,
        examples: Tensor | None = None,
        class_weights: Literal["balanced"] | list[float] | None = None,
        kind: Literal["masks"] = "masks",
        **options: Any,
    ) -> None:
        made = named_metrics(metrics, task="multiclass", num_classes=num_classes, ignore_index=IGNORED)
        for part in loss.modules():
            if hasattr(part, "ignore_index"):  # one that learns images' classes, too, counts 255 as one of them
                part.ignore_index = IGNORED  # type: ignore[assignment]
        super().__init__(loss=loss, metrics=made, **options)
        self.num_classes = num_classes
        if class_weights is not None and examples is not None and len(examples):
            give(loss, "weight", of_classes(class_weights, examples.sum(0)))

    def answer_shape(self, image: Tensor) -> tuple[int, ...]:
        return (self.num_classes, *image.shape[2:])

    def kept(self, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels by true and predicted class (B, classes, classes), and by true class (B, classes)."""
        counts = pixel_confusion(logits.argmax(1), target, self.num_classes)
        return counts, counts.sum(2)

    def costs(self, logits: Array, target: Array) -> Array:
        """What misses of an IoU of 1, on average over the classes that the image has or is said to have."""
        found = segmentation_columns(logits)
        union = found["target"] + found["predicted"] - found["overlap"]
        missing = 1 - found["overlap"] / np.maximum(union, 1)
        costs: Array = (missing * (union > 0)).sum(axis=1) / np.maximum((union > 0).sum(axis=1), 1)
        return costs

    def evaluation(self, logits: Array, target: Array, classes: Sequence[str], temperature: Temperature) -> Evaluation:
        """logits: pixels by true and predicted class, as `kept` gives them."""
        return evaluate_segmentation(logits, classes, np.random.default_rng(0))


def pixel_confusion(predicted: Tensor, target: Tensor, classes: int) -> Tensor:
    """Each image's pixels by true (row) and predicted (column) class (B, classes, classes); 255 in target is left out.

    predicted, target: (B, H, W) class numbers.
    """
    images = torch.arange(len(target), device=target.device)[:, None, None]
    cell = (images * classes + target) * classes + predicted
    counts = torch.bincount(cell[target != IGNORED], minlength=len(target) * classes * classes)
    return counts.view(len(target), classes, classes)
