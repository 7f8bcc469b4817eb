"""One number an image, or several."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.evaluation import evaluate_regression
from models.named_metrics import named_metrics
from models.scores import Evaluation, Temperature
from models.task import ImageTask

Array = NDArray[Any]


class Rescaled(nn.Module):
    """A network whose answers of about -1 to 1 are brought to the targets' own unit, (B, targets).

    mean, std: of the training targets (targets,), kept with the weights.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, net: nn.Module, targets: int) -> None:
        super().__init__()
        self.net: Any = net
        self.register_buffer("mean", torch.zeros(targets))
        self.register_buffer("std", torch.ones(targets))

    def forward(self, image: Tensor) -> Tensor:
        values: Tensor = self.net(image).float() * self.std + self.mean
        return values

    def features(self, image: Tensor) -> Tensor:
        found: Tensor = self.net.features(image)
        return found

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Moved and cast as any module; the unit's two stay float32: in bfloat16 a mean of 1990 would be 1992."""
        exact = self.mean, self.std
        super()._apply(fn, recurse)
        self.mean, self.std = (one.to(now.device) for one, now in zip(exact, (self.mean, self.std), strict=True))
        return self

    def fit(self, examples: Tensor) -> None:
        """Takes mean and deviation of these targets (n, targets); one that never changes has deviation 1."""
        deviation = examples.double().std(0, correction=0).float()
        self.mean.copy_(examples.double().mean(0))
        self.std.copy_(torch.where(deviation > 0, deviation, 1.0))


def holds_values(weights: Mapping[str, Tensor]) -> bool:
    """Whether these are the weights of a regression: a Rescaled network's."""
    return {"mean", "std"} <= weights.keys()


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
        return {"_target_": "models.regression.Rescaled", "net": node, "targets": self.num_classes}

    def evaluation(self, logits: Array, target: Array, classes: Sequence[str], temperature: Temperature) -> Evaluation:
        return evaluate_regression(logits, target, classes, np.random.default_rng(0))
