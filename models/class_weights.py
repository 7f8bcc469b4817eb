"""Weights of classes in a loss: given, or so that each class counts the same."""

import math
from typing import Literal

import torch
from torch import Tensor, nn

Wanted = Literal["balanced"] | list[float] | None


def of_classes(wanted: Wanted, counts: Tensor) -> Tensor | None:
    """Weights (K,) of mean 1 over the samples. counts: (K,) images or pixels of each class in training."""
    if wanted != "balanced":
        return _given(wanted, len(counts))
    present = counts.clamp(min=1).double()
    return (counts.sum() / ((counts > 0).sum() * present)).float()


def of_labels(wanted: Wanted, present: Tensor, images: int) -> Tensor | None:
    """What a present label counts against an absent one (K,). present: (K,) images that have each label."""
    if wanted != "balanced":
        return _given(wanted, len(present))
    return ((images - present) / present.clamp(min=1)).float()


def _given(wanted: list[float] | None, classes: int) -> Tensor | None:
    if wanted is None:
        return None
    if len(wanted) != classes or not all(0 <= weight < math.inf for weight in wanted) or not any(wanted):
        told = f"task.class_weights={list(wanted)}"
        raise ValueError(f"{told}: give {classes} numbers, one a class, none below 0 and not all of them 0")
    return torch.tensor(wanted, dtype=torch.float32)


def give(loss: nn.Module, name: str, weights: Tensor | None) -> None:
    """Sets the loss's weights, or those of its parts that take such. Raises ValueError where none does."""
    if weights is None:
        return
    takers = [part for part in loss.modules() if name in part._buffers]
    if not takers:
        raise ValueError(f"task.class_weights: {type(loss).__name__} takes none; use null or another task/loss")
    for part in takers:
        setattr(part, name, weights.clone())
