"""A network whose answers are in the targets' unit; apart from the task, so that a deployed one needs no trainer."""

from collections.abc import Callable, Mapping
from typing import Any, Self

import torch
from torch import Tensor, nn


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
    unit = {"mean", "std"}
    return unit <= weights.keys() and all(name.startswith("net.") for name in weights.keys() - unit)
