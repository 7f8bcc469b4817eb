"""Muon for convolution filters, SGD for all else: the optimizer of the small fast network."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

QUINTIC = (3.4445, -4.7750, 2.0315)  # steepest at zero; singular values end within about 0.7 … 1.2


def build_muon(
    model: nn.Module,
    lr: float,
    momentum: float = 0.6,
    newton_schulz_steps: int = 3,
    sgd_lr: float = 0.05,
    head_lr: float = 0.7,
    sgd_momentum: float = 0.85,
    weight_decay: float = 0.0,
) -> Optimizer:
    """Muon over the 4-dimensional filters that train, SGD over biases and norms, and over matrices (the head).

    lr: of the filters, whose norm is held at √(filters), so it is a step relative to the weights. sgd_lr: of biases and
    norms. head_lr: of matrices. weight_decay: of what SGD trains, uncoupled from its rate as lr · decay / lr.
    """
    trained = [tensor for tensor in model.parameters() if tensor.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [tensor for tensor in trained if tensor.ndim == 4], "lr": lr, "muon": True, "momentum": momentum},
        {"params": [tensor for tensor in trained if tensor.ndim < 2], "lr": sgd_lr},
        {"params": [tensor for tensor in trained if tensor.ndim in (2, 3)], "lr": head_lr},
    ]
    for group in groups:
        group["decay"] = weight_decay / group["lr"] if weight_decay else 0.0
    return Muon([group for group in groups if group["params"]], lr, sgd_momentum, newton_schulz_steps)


class Muon(Optimizer):
    """Nesterov momentum whose update is orthogonalised, with weights of constant norm (Keller Jordan, airbench94_muon).

    Groups without `muon: True` are trained by SGD with Nesterov momentum and `decay`.
    """

    def __init__(
        self, groups: list[dict[str, Any]], lr: float, momentum: float = 0.85, newton_schulz_steps: int = 3
    ) -> None:
        for name, value in (("lr", lr), ("momentum", momentum)):
            if value < 0:
                raise ValueError(f"optimizers.{name}={value}: use 0 or more")
        defaults = {"lr": lr, "momentum": momentum, "muon": False, "decay": 0.0, "steps": newton_schulz_steps}
        super().__init__(groups, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            update = self._muon if group["muon"] else self._sgd
            for weight in group["params"]:
                if weight.grad is not None:
                    update(weight, group)
        return loss

    def _muon(self, weight: Tensor, group: dict[str, Any]) -> None:
        direction = self._nesterov(weight, weight.grad, group["momentum"])
        weight.mul_(len(weight) ** 0.5 / weight.norm())
        step = orthogonalised(direction.flatten(1), group["steps"]).view(direction.shape)
        weight.add_(step, alpha=-group["lr"])

    def _sgd(self, weight: Tensor, group: dict[str, Any]) -> None:
        gradient = weight.grad.add(weight, alpha=group["decay"])  # type: ignore[union-attr]
        weight.add_(self._nesterov(weight, gradient, group["momentum"]), alpha=-group["lr"])

    def _nesterov(self, weight: Tensor, gradient: Any, momentum: float) -> Tensor:
        state = self.state[weight]
        if "velocity" not in state:
            state["velocity"] = torch.zeros_like(weight)
        state["velocity"].mul_(momentum).add_(gradient)
        return torch.add(gradient, state["velocity"], alpha=momentum)


def orthogonalised(matrix: Tensor, steps: int) -> Tensor:
    """The nearest matrix with all singular values near 1, by Newton-Schulz in bfloat16. matrix: (rows, columns)."""
    first, third, fifth = QUINTIC
    wide = matrix if len(matrix) <= matrix.shape[1] else matrix.T
    power: Tensor = (wide / (wide.norm() + 1e-7)).bfloat16()
    for _ in range(steps):
        gram = power @ power.T
        power = first * power + (third * gram + fifth * gram @ gram) @ power
    return (power if wide is matrix else power.T).to(matrix.dtype)
