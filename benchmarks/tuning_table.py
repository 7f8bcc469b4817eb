"""A small search problem that is known in full: curves of 2,048 networks on some digits, all trained at once."""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from torch.nn.functional import one_hot

EPOCHS = 27
TRAINED, JUDGED = 200, 600  # images
RATES = np.geomspace(1e-4, 1e-1, 8)
DECAYS = np.geomspace(1e-4, 1e0, 4)
DROPOUTS = np.linspace(0.0, 0.6, 4)
BATCHES = (10, 25, 50, 100)
WIDTHS = (4, 8, 16, 32)

# The same five keys for every tool; the configuration's own batch size of 7 lies outside, so no tool is given a start.
SPACE = [
    f"optimizers.lr=tag(log, interval({RATES[0]:g}, {RATES[-1]:g}))",
    f"optimizers.weight_decay=tag(log, interval({DECAYS[0]:g}, {DECAYS[-1]:g}))",
    f"models.dropout=interval({DROPOUTS[0]:g}, {DROPOUTS[-1]:g})",
    f"datamodule.batch_size=choice({','.join(map(str, BATCHES))})",
    f"models.dense_width=choice({','.join(map(str, WIDTHS))})",
]


@dataclass(frozen=True)
class Values:
    """One configuration."""

    lr: float
    weight_decay: float
    dropout: float
    batch_size: int
    width: int


def curve(values: Values) -> NDArray[np.float64]:
    """Validation loss after each epoch (EPOCHS,) of the nearest network of the table."""
    rate = _nearest(np.log(RATES), math.log(values.lr))
    decay = _nearest(np.log(DECAYS), math.log(values.weight_decay))
    found: NDArray[np.float64] = table()[values.batch_size, values.width][
        rate, decay, _nearest(DROPOUTS, values.dropout)
    ]
    return found


def _nearest(grid: NDArray[np.float64], value: float) -> int:
    return int(np.abs(grid - value).argmin())


@cache
def table() -> dict[tuple[int, int], NDArray[np.float64]]:
    """(batch size, width) → validation losses (rates, decays, dropouts, EPOCHS)."""
    return {(batch, width): _trained(batch, width) for batch in BATCHES for width in WIDTHS}


def _trained(batch: int, width: int) -> NDArray[np.float64]:
    """Two-layer networks of one width, one for each rate, decay and dropout, by AdamW under a cosine."""
    generator = torch.Generator().manual_seed(batch * 1000 + width)
    image, target = _digits()
    rate, decay, drop = (
        torch.tensor(np.broadcast_to(part, (len(RATES), len(DECAYS), len(DROPOUTS))).reshape(-1, 1, 1).copy()).float()
        for part in (RATES[:, None, None], DECAYS[None, :, None], DROPOUTS[None, None, :])
    )
    count = len(rate)
    first = torch.randn(64, width, generator=generator).div(8).repeat(count, 1, 1).requires_grad_()
    second = torch.randn(width, 10, generator=generator).div(width**0.5).repeat(count, 1, 1).requires_grad_()
    moments = [(torch.zeros_like(part), torch.zeros_like(part)) for part in (first, second)]
    steps, step, losses = EPOCHS * (TRAINED // batch), 0, []
    for _ in range(EPOCHS):
        order = torch.randperm(TRAINED, generator=generator)
        for rows in order.split(batch):
            step += 1
            hidden = (image[rows] @ first).relu()
            kept = (torch.rand(hidden.shape, generator=generator) >= drop).float() / (1 - drop)
            _loss(hidden * kept @ second, target[rows]).sum().backward()
            scale = 0.5 * (1 + math.cos(math.pi * step / steps))
            _adamw((first, second), moments, rate * scale, decay, step)
        with torch.no_grad():
            logits = (image[TRAINED:] @ first).relu() @ second
            losses.append(_loss(logits, target[TRAINED:]))
    found: NDArray[np.float64] = torch.stack(losses, 1).double().numpy()
    return found.reshape(len(RATES), len(DECAYS), len(DROPOUTS), EPOCHS)


def _digits() -> tuple[torch.Tensor, torch.Tensor]:
    digits = load_digits()
    rows = np.random.default_rng(0).permutation(len(digits.target))[: TRAINED + JUDGED]
    image = torch.tensor(digits.data[rows] / 8 - 1).float()
    return image, one_hot(torch.tensor(digits.target[rows]), 10).float()


def _loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of each network (networks,). logits: (networks, images, 10)."""
    return -(logits.log_softmax(-1) * target).sum(-1).mean(-1)


@torch.no_grad()
def _adamw(
    parts: tuple[torch.Tensor, ...],
    moments: list[tuple[torch.Tensor, torch.Tensor]],
    rate: torch.Tensor,
    decay: torch.Tensor,
    step: int,
) -> None:
    for part, (mean, square) in zip(parts, moments, strict=True):
        assert part.grad is not None
        mean.mul_(0.9).add_(part.grad, alpha=0.1)
        square.mul_(0.999).addcmul_(part.grad, part.grad, value=0.001)
        change = (mean / (1 - 0.9**step)) / ((square / (1 - 0.999**step)).sqrt() + 1e-8)
        part.sub_(rate * (change + decay * part))
        part.grad = None
