"""Losses that torch and torchvision lack as modules; those of masks are in models/mask_losses.py."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import sigmoid_focal_loss


class Focal(nn.Module):
    """Cross-entropy that cares less for what is sure already, (1 - p)^gamma (Lin et al. 2017, arXiv:1708.02002).

    logits: (B, K, …); target: class numbers (B, …) or shares (B, K, …). weight: (K,). Pixels of ignore_index do not
    count.
    """

    weight: Tensor | None

    def __init__(self, gamma: float = 2.0, ignore_index: int = -100) -> None:
        super().__init__()
        if gamma < 0:
            raise ValueError(f"task.loss.gamma={gamma}: use 0 (cross-entropy) or more")
        self.gamma, self.ignore_index = gamma, ignore_index
        self.register_buffer("weight", None)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        logits = per_pixel(logits)
        sure = logits.log_softmax(1)
        log_probs = (1 - sure.exp()) ** self.gamma * sure
        if target.is_floating_point():
            shares = per_pixel(target) if self.weight is None else per_pixel(target) * self.weight
            return -(log_probs * shares).sum(1).mean()
        return weighted_mean(log_probs, target.flatten(), self.weight, self.ignore_index)


class BinaryFocal(nn.Module):
    """The focal loss of independent labels: torchvision's, as a module. alpha: weight of present labels, -1: none.

    logits, target: (B, labels). weight: (labels,).
    """

    weight: Tensor | None

    def __init__(self, alpha: float = 0.25, gamma: float = 2.0) -> None:
        super().__init__()
        self.alpha, self.gamma = alpha, gamma
        self.register_buffer("weight", None)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        each: Tensor = sigmoid_focal_loss(logits, target, self.alpha, self.gamma, reduction="none")
        return (each if self.weight is None else each * self.weight).mean()


class Asymmetric(nn.Module):
    """For many labels of which few are present: absent ones are focused harder, and let go once they are unlikely.

    Ridnik et al. 2021, arXiv:2009.14119. logits, target: (B, labels). margin: probability up to which an absent label
    costs nothing. weight: (labels,).
    """

    weight: Tensor | None

    def __init__(self, gamma_absent: float = 4.0, gamma_present: float = 1.0, margin: float = 0.05) -> None:
        super().__init__()
        if not 0 <= margin < 1:
            raise ValueError(f"task.loss.margin={margin}: use a probability from 0 to below 1")
        self.gamma_absent, self.gamma_present, self.margin = gamma_absent, gamma_present, margin
        self.register_buffer("weight", None)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        probs = logits.float().sigmoid()
        shifted = (probs - self.margin).clamp(min=0)
        present = (1 - probs) ** self.gamma_present * F.logsigmoid(logits.float())
        absent = shifted**self.gamma_absent * torch.log1p(-shifted.clamp(max=1 - 1e-6))
        each = -(target * present + (1 - target) * absent)
        return (each if self.weight is None else each * self.weight).mean()


def per_pixel(logits: Tensor) -> Tensor:
    """(B, K, H, W) as (pixels, K): one row each, which CUDA sums in a fixed order; (B, K) stays."""
    return logits if logits.ndim == 2 else logits.movedim(1, -1).flatten(0, -2)


def weighted_mean(log_probs: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int) -> Tensor:
    """Minus the targets' entries, averaged by their classes' weights; 0 where all are ignored.

    log_probs: (n, K); target: (n,) class numbers.
    """
    total = F.nll_loss(log_probs, target, weight, ignore_index=ignore_index, reduction="sum")
    return total / counted(target, weight, ignore_index)


def counted(target: Tensor, weight: Tensor | None, ignore_index: int) -> Tensor:
    """How many targets (n,) count, by their classes' weights (K,); never 0."""
    kept = target != ignore_index
    count = kept.sum() if weight is None else (weight[torch.where(kept, target, 0)] * kept).sum()
    return count.clamp(min=torch.finfo(torch.float32).tiny)
