"""Several classes an image, one of each head, on one trunk: the last layer's rows are divided among the heads."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchmetrics import Metric
from torchmetrics.wrappers.abstract import WrapperMetric

from datamodule.heads import Head
from models.calibration import fit_temperature, scaled_losses
from models.class_weights import give, of_classes
from models.distillation import softmax_distance
from models.head_evaluation import evaluate_heads, of_head
from models.named_metrics import named_metrics
from models.scores import Evaluation, Temperature
from models.task import ImageTask

Array = NDArray[Any]


class OfHead(WrapperMetric):
    """A metric of one head's logits and classes."""

    def __init__(self, metric: Metric, head: Head, place: int) -> None:
        super().__init__()
        self.metric, self.head, self.place = metric, head, place

    def update(self, logits: Tensor, target: Tensor) -> None:
        self.metric.update(logits[:, self.head.columns], target[:, self.place] - self.head.start)

    def compute(self) -> Any:
        return self.metric.compute()

    def reset(self) -> None:
        self.metric.reset()
        super().reset()


class SumOfHeads(nn.Module):
    """A loss for each head, weighted and added.

    logits: (B, all heads' classes). target: (B, heads) as HeadTargets encodes it, or shares (B, all heads' classes).
    """

    def __init__(self, losses: Sequence[nn.Module], heads: Sequence[Head], weights: Sequence[float]) -> None:
        super().__init__()
        self.losses, self.heads, self.weights = nn.ModuleList(losses), list(heads), list(weights)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        parts = [
            weight * loss(logits[:, head.columns], of_head(target, head, place))
            for place, (head, loss, weight) in enumerate(zip(self.heads, self.losses, self.weights, strict=True))
        ]
        return torch.stack(parts).sum()


class Heads(ImageTask):
    """Cross-entropy-like losses of several classifications of one image, added; logits (B, all heads' classes).

    metrics: names of torchmetrics, or functions that make a metric once they know `num_classes`; each head has its own.
    num_classes: how many classes each head has. class_weights: balanced: in each head each class counts the same.
    head_weights: of each head's loss. examples: (n, heads) the training images' classes.
    """

    name = "heads"

    def __init__(
        self,
        metrics: Mapping[str, object] | list[str],
        num_classes: dict[str, int],
        loss: nn.Module,
        examples: Tensor | None = None,
        class_weights: Literal["balanced"] | list[float] | None = None,
        head_weights: dict[str, float] | None = None,
        **options: Any,
    ) -> None:
        self.heads = heads_of(num_classes)
        self.weights = weights_of(head_weights, num_classes)
        made = {
            f"{head.name.replace('.', '_')}/{name}": OfHead(metric, head, place)
            for place, head in enumerate(self.heads)
            for name, metric in named_metrics(metrics, task="multiclass", num_classes=len(head.classes)).items()
        }
        losses = [copy.deepcopy(loss) for _ in self.heads]
        super().__init__(loss=SumOfHeads(losses, self.heads, self.weights), metrics=made, **options)
        if class_weights is not None and examples is not None and len(examples):
            self._weigh(losses, class_weights, examples)

    def _weigh(self, losses: list[nn.Module], wanted: Literal["balanced"] | list[float], examples: Tensor) -> None:
        if wanted != "balanced":
            raise ValueError(f"task.class_weights={wanted}: of several heads each has its own; use balanced or null")
        for place, (head, loss) in enumerate(zip(self.heads, losses, strict=True)):
            counts = of_head(examples, head, place).bincount(minlength=len(head.classes))
            give(loss, "weight", of_classes(wanted, counts))

    def answer_shape(self, image: Tensor) -> tuple[int, ...]:
        return (sum(len(head.classes) for head in self.heads),)

    def distance(self, logits: Tensor, taught: Tensor) -> Tensor:
        assert self.distill is not None
        parts = [
            weight * softmax_distance(logits[:, head.columns], taught[:, head.columns], self.distill.temperature)
            for head, weight in zip(self.heads, self.weights, strict=True)
        ]
        return torch.stack(parts).sum()

    def temperature(self, logits: Array, target: Array) -> list[float]:
        """One for each head."""
        return [fit_temperature(*part) for part in self._parts(logits, target)]

    def scaled(self, logits: Tensor, temperature: Temperature) -> Tensor:
        assert isinstance(temperature, list)
        sizes = torch.tensor([len(head.classes) for head in self.heads])
        return logits / torch.tensor(temperature).repeat_interleave(sizes).to(logits)

    def costs(self, logits: Array, target: Array) -> Array:
        """Of all heads, each by its weight in the loss."""
        each = np.array([scaled_losses(*part) for part in self._parts(logits, target)])
        total: Array = np.array(self.weights) @ each
        return total

    def _parts(self, logits: Array, target: Array) -> Iterator[tuple[Array, Array]]:
        """Each head's own."""
        for place, head in enumerate(self.heads):
            yield logits[:, head.columns], target[:, place] - head.start

    def evaluation(self, logits: Array, target: Array, classes: Sequence[str], temperature: Temperature) -> Evaluation:
        return evaluate_heads(logits, target, classes, np.random.default_rng(0), temperature)


def heads_of(sizes: Mapping[str, int]) -> list[Head]:
    """Heads of so many classes, which are known by their numbers only."""
    starts = np.cumsum([0, *sizes.values()]).tolist()
    return [
        Head(name, tuple(map(str, range(size))), start)
        for (name, size), start in zip(sizes.items(), starts, strict=False)
    ]


def weights_of(wanted: Mapping[str, float] | None, sizes: Mapping[str, int]) -> list[float]:
    """Of each head's loss, in order; 1 where none is named. Raises ValueError for a head that there is not."""
    given = dict(wanted or {})
    if unknown := [name for name in given if name not in sizes]:
        raise ValueError(f"task.head_weights={given}: there is no head {unknown[0]!r}; use {', '.join(sizes)}")
    if min(given.values(), default=1) < 0:
        raise ValueError(f"task.head_weights={given}: none may be below 0")
    return [float(given.get(name, 1.0)) for name in sizes]
