"""One number an image, or several."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.evaluation import evaluate_regression
from models.named_metrics import named_metrics
from models.rescaled import Rescaled
from models.scores import Evaluation, Temperature
from models.task import ImageTask

Array = NDArray[Any]


class InDeviations(nn.Module):
    """A loss of differences in which every target counts the same, whatever its unit. std: (targets,)."""

    std: Tensor

    def __init__(self, loss: nn.Module, std: Tensor) -> None:
        super().__init__()
        self.loss = loss
        self.register_buffer("std", std.clone())

    def forward(self, values: Tensor, target: Tensor) -> Tensor:
        found: Tensor = self.loss(values / self.std, target / self.std)
        return found


class Regression(ImageTask):
    """Losses of differences on values (B, targets) in the targets' own unit; the loss is in training deviations.

    metrics: names of torchmetrics, or metrics, in the targets' unit. examples: (n, targets), the training images'.
    """

    name = "regression"
    says_probabilities = False

    def __init__(
        self,
        metrics: Mapping[str, object] | list[str],
        num_classes: int,
        net: nn.Module,
        loss: nn.Module,
        examples: Tensor | None = None,
        kind: Literal["values"] = "values",
        **options: Any,
    ) -> None:
        if isinstance(net, Rescaled):
            rescaled = net  # of a model file
        else:
            rescaled = Rescaled(net, num_classes)
            rescaled.fit(torch.zeros(1, num_classes) if examples is None else examples)
        super().__init__(net=rescaled, loss=InDeviations(loss, rescaled.std), metrics=named_metrics(metrics), **options)
        self.num_classes = num_classes

    def answer_shape(self, image: Tensor) -> tuple[int, ...]:
        return (self.num_classes,)

    def distance(self, logits: Tensor, taught: Tensor) -> Tensor:
        """As the loss measures it; values have no temperature."""
        found: Tensor = self.loss(logits, taught)
        return found

    def architecture(self, node: dict[str, Any]) -> dict[str, Any]:
        return {"_target_": "models.rescaled.Rescaled", "net": node, "targets": self.num_classes}

    def costs(self, logits: Array, target: Array) -> Array:
        """Squared differences in training deviations, of all targets together."""
        found: Array = (((logits - target) / self.loss.get_buffer("std").cpu().numpy()) ** 2).sum(axis=1)
        return found

    def evaluation(self, logits: Array, target: Array, classes: Sequence[str], temperature: Temperature) -> Evaluation:
        return evaluate_regression(logits, target, classes, np.random.default_rng(0))
