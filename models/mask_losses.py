"""Losses of masks that segmentation-models-pytorch lacks: logits (B, classes, H, W), target (B, H, W), 255 ignored."""

from typing import Any

import torch
import torch.nn.functional as F
from segmentation_models_pytorch.losses import DiceLoss, LovaszLoss
from segmentation_models_pytorch.losses._functional import soft_jaccard_score
from torch import Tensor, nn

from datamodule.transforms import IGNORED
from models.losses import counted, per_pixel


class PixelCrossEntropy(nn.Module):
    """Cross-entropy over the pixels that count, 0 where none does; exactly repeatable on CUDA, as torch's is not there.

    weight: (classes,).
    """

    weight: Tensor | None

    def __init__(self, label_smoothing: float = 0.0) -> None:
        super().__init__()
        self.label_smoothing = label_smoothing
        self.register_buffer("weight", None)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        flat, truth = per_pixel(logits), target.flatten()
        options: dict[str, Any] = {"ignore_index": IGNORED, "label_smoothing": self.label_smoothing}
        total = F.cross_entropy(flat, truth, self.weight, reduction="sum", **options)
        return total / counted(truth, self.weight, IGNORED)


class JaccardLoss(DiceLoss):
    """1 - IoU of the soft masks; unlike segmentation-models-pytorch's own it takes ignored pixels."""

    def __init__(self) -> None:
        super().__init__("multiclass", ignore_index=IGNORED)

    def compute_score(
        self, output: Tensor, target: Tensor, smooth: float = 0.0, eps: float = 1e-7, dims: Any = None
    ) -> Tensor:
        score: Tensor = soft_jaccard_score(output, target, smooth, eps, dims)
        return score


class Lovasz(LovaszLoss):
    """The Lovász softmax; 0 where no pixel of a batch counts, which segmentation-models-pytorch's own refuses."""

    def __init__(self, per_image: bool = False) -> None:
        super().__init__("multiclass", per_image, IGNORED)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        if bool((target == IGNORED).all()):
            return logits.sum() * 0
        found: Tensor = super().forward(logits, target)
        return found


class WeightedSum(nn.Module):
    """Several losses at once. shares: what each counts, all the same by default."""

    def __init__(self, losses: dict[str, object], shares: list[float] | None = None) -> None:
        super().__init__()
        self.losses = nn.ModuleDict(losses)  # type: ignore[arg-type]
        self.shares = shares or [1.0] * len(losses)
        if len(self.shares) != len(losses):
            raise ValueError(f"task.loss.shares={self.shares}: give a number for each of {', '.join(losses)}")

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        parts = [share * loss(logits, target) for share, loss in zip(self.shares, self.losses.values(), strict=True)]
        return torch.stack(parts).sum()
