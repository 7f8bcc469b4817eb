"""Features learnt without labels: two views of an image shall be alike, views of others not (Chen et al. 2020,
arXiv:2002.05709)."""

import logging
import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from datamodule.data import ImageData
from datamodule.inventory import Rows
from datamodule.statistics import spread_out
from models.draws import draws_aside, seed_draws
from models.inference import SAMPLED, ready
from models.speed import Bench, Speed, choose, spelt

log = logging.getLogger(__name__)

PROJECTED = 128
SMALLEST_AREA = 0.3  # of the image that a view shows
BATCH_SIZE = 256  # images, two views of each
TEMPERATURE = 0.2
LEARNING_RATE = 1e-3
PLAIN = Speed("fp32")


class Projected(nn.Module):
    """A network's features and a head that is thrown away after training; image (B, C, H, W) → (B, PROJECTED)."""

    def __init__(self, net: nn.Module, image: Tensor) -> None:
        super().__init__()
        with torch.no_grad():
            width = net.eval().features(image[:2]).shape[1]  # type: ignore[operator]
        self.net = net
        self.head = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, PROJECTED)).to(image.device)

    def forward(self, image: Tensor) -> Tensor:
        projected: Tensor = self.head(self.net.features(image))  # type: ignore[operator]
        return projected


def train_without_labels(
    net: nn.Module,
    data: ImageData,
    rows: Rows,
    epochs: int,
    seed: int,
    batch_size: int = BATCH_SIZE,
    flip: bool = True,
    speed: Speed = PLAIN,
) -> list[float]:
    """Trains `net.features` in place on these rows; each epoch's mean loss. The same seed gives the same weights.

    flip: whether mirrored images mean the same (not for digits or letters). speed: precision and memory layout.
    """
    images = _images(net, data, rows)
    draw = torch.Generator().manual_seed(seed)
    with draws_aside(_device(net)):
        seed_draws(seed, _device(net))
        if hasattr(net, "prepare"):
            net.prepare(images[spread_out(np.arange(len(images)), SAMPLED)].to(_device(net)))  # type: ignore[operator]
        projected = speed.apply(Projected(net, images[:2].to(_device(net))))
        optimizer = make_optimizer(projected)
        size = min(batch_size, len(images))
        steps = max(len(images) // size, 1) * epochs
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate(step, steps))
        projected.train()
        losses = list[float]()
        for epoch in range(epochs):
            found = []
            for part in torch.randperm(len(images), generator=draw).split(size):
                if len(part) == size:
                    found.append(_step(projected, images[part], draw, flip, speed, optimizer))
                    schedule.step()
            losses.append(float(torch.stack(found).mean()))
            if (epoch + 1) % max(epochs // 10, 1) == 0:
                log.info("self-supervised epoch %d of %d: loss %.3f", epoch + 1, epochs, losses[-1])
    return losses


def _step(
    projected: nn.Module,
    images: Tensor,
    draw: torch.Generator,
    flip: bool,
    speed: Speed,
    optimizer: torch.optim.Optimizer,
) -> Tensor:
    """One step on two views of these images; its loss."""
    batch = images.to(_device(projected))
    both = torch.cat([view(batch, draw, flip), view(batch, draw, flip)])
    with speed.autocast(batch.device):
        answer = projected(both)
    loss = contrast(answer)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.detach()


def make_optimizer(net: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.AdamW(net.parameters(), LEARNING_RATE, weight_decay=1e-4, fused=True)


def fastest(net: nn.Module, data: ImageData, rows: Rows, epochs: int) -> Speed:
    """How `train_without_labels` runs fastest here, by a few steps on copies of the network."""
    image = _images(net, data, rows[:BATCH_SIZE]).to(_device(net))
    with draws_aside(image.device):
        projected = Projected(net, image)
    bench = Bench(projected, lambda answer, _: contrast(answer), make_optimizer, image.repeat(2, 1, 1, 1),
                  torch.zeros(2 * len(image)))  # fmt: skip
    best, table = choose(bench, epochs * max(len(rows) // BATCH_SIZE, 1), [torch.get_num_threads()])
    log.info(spelt(best, table))
    return Speed(best.mode)


def _images(net: nn.Module, data: ImageData, rows: Rows) -> Tensor:
    """All of them, normalised, in memory (n, C, H, W)."""
    loader = data.rows_dataloader(rows, "without labels")
    return torch.cat([batch.image.cpu() for batch in ready(data, loader, _device(net))])


def _device(net: nn.Module) -> torch.device:
    return next(net.parameters()).device


def rate(step: int, steps: int) -> float:
    """Factor on the learning rate: a short rise, then a cosine to zero."""
    rise = max(steps // 20, 1)
    return (step + 1) / rise if step < rise else 0.5 * (1 + math.cos(math.pi * (step - rise) / max(steps - rise, 1)))


def contrast(projected: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """NT-Xent: each view is to find its other one among all. projected: (2 B, D), the second views below the first."""
    unit = F.normalize(projected.float(), dim=1)
    similar = unit @ unit.T / temperature
    similar.fill_diagonal_(-torch.inf)
    half = len(unit) // 2
    return F.cross_entropy(similar, torch.arange(2 * half, device=unit.device).roll(half))


def view(image: Tensor, draw: torch.Generator, flip: bool) -> Tensor:
    """A crop of each image, mirrored by chance, contrast and brightness moved; (B, C, H, W) normalised, as given."""
    count = len(image)
    random = torch.rand(count, 6, generator=draw).to(image.device)
    side = (SMALLEST_AREA + (1 - SMALLEST_AREA) * random[:, 0]).sqrt()
    stretch = torch.exp((random[:, 1] - 0.5) * math.log(4 / 3))
    mirrored = torch.where((random[:, 5] < 0.5) & flip, -1.0, 1.0)
    wide, high = (side * stretch).clamp(max=1), (side / stretch).clamp(max=1)
    matrix = torch.zeros(count, 2, 3, device=image.device)
    matrix[:, 0, 0], matrix[:, 1, 1] = wide * mirrored, high
    matrix[:, 0, 2] = (1 - wide) * (2 * random[:, 2] - 1)
    matrix[:, 1, 2] = (1 - high) * (2 * random[:, 3] - 1)
    shape = list(image.shape)
    seen = F.grid_sample(image, F.affine_grid(matrix, shape, align_corners=False), padding_mode="reflection",
                         align_corners=False)  # fmt: skip
    colour = torch.rand(count, image.shape[1] + 2, generator=draw).to(image.device)
    gain = 0.6 + 0.8 * colour[:, :1] + 0.4 * (colour[:, 2:] - 0.5)
    seen = seen * gain[:, :, None, None] + (0.8 * (colour[:, 1] - 0.5))[:, None, None, None]
    grey = (random[:, 4] < 0.2)[:, None, None, None]
    return torch.where(grey, seen.mean(dim=1, keepdim=True).expand_as(seen), seen)
