"""A small network that learns small images quickly: a whitening first layer, then three groups of convolutions.

After airbench94 (Jordan 2024, arXiv:2404.00498), resized to what a CPU core trains in minutes.
"""

from typing import Literal

import torch
from torch import Tensor, nn

SOFTENING = 5e-4  # added to each variance, so that noise directions are not blown up


class FastNet(nn.Module):
    """Patches whitened by fixed filters (`prepare`), then per entry of `widths` a group that halves the resolution.

    image (B, channels, height, width) → logits (B, num_classes). norm_momentum: share of the old BatchNorm statistics
    kept at each step. kernel_size, stride: of the whitened patches; a stride of 2 makes a step about three times as
    cheap. entry_size: of the filters with which a group begins; 3, or 2 without a border, less than half as dear: maps
    of an odd side become even, so that pooling drops none of them. Made for Muon (`optimizers=muon_sgd`).
    """

    def __init__(
        self,
        num_classes: int,
        channels: int,
        height: int,
        width: int,
        widths: list[int],
        convolutions: int = 2,
        kernel_size: int = 2,
        stride: int = 1,
        whitened: int | None = None,
        entry_size: Literal[2, 3] = 3,
        norm_momentum: float = 0.6,
    ) -> None:
        super().__init__()
        directions = channels * kernel_size**2 if whitened is None else whitened // 2
        _check_whitened(directions, channels * kernel_size**2)
        sides = _pooled_sides((min(height, width) - kernel_size) // stride + 1, entry_size, len(widths))
        if sides[-1] < 1:
            raise ValueError(
                f"fast_net halves the image {len(widths)} times, too often for {height} x {width} pixels: shorten "
                "models.widths or enlarge datamodule.height and datamodule.width"
            )
        self.whiten = nn.Conv2d(channels, 2 * directions, kernel_size, stride, bias=False).requires_grad_(False)
        sources = [2 * directions, *widths]
        groups = [
            Group(source, target, convolutions, norm_momentum, side, entry_size)
            for source, target, side in zip(sources, widths, sides, strict=False)
        ]
        self.groups = nn.Sequential(*groups)
        self.head = nn.Linear(widths[-1], num_classes, bias=False)
        with torch.no_grad():
            self.head.weight.div_(self.head.weight.std() * widths[-1])  # logits begin small, as large features need it

    @torch.no_grad()
    def prepare(self, sample: Tensor) -> None:
        """Sets the whitening filters from images. sample: (B, C, H, W) float, normalised as in training."""
        filters = whitening_filters(sample, self.whiten.kernel_size[0])
        kept = filters[: len(self.whiten.weight) // 2]
        self.whiten.weight.copy_(torch.cat((kept, -kept)))

    def features(self, image: Tensor) -> Tensor:
        """(B, widths[-1])"""
        maps: Tensor = self.groups(nn.functional.gelu(self.whiten(image)))
        return maps.amax((2, 3))

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(image))
        return logits


class Group(nn.Module):
    """Convolution and pooling to half the size, then further convolutions, each with BatchNorm and GELU.

    side: of the pooled maps; where it is 1, the further convolutions have no neighbours to look at and are 1x1.
    """

    def __init__(
        self, channels: int, width: int, convolutions: int, norm_momentum: float, side: int, entry_size: int
    ) -> None:
        super().__init__()
        further = (_convolution(width, width, 1 if side == 1 else 3) for _ in range(convolutions - 1))
        self.convolutions = nn.ModuleList((_convolution(channels, width, entry_size), *further))
        self.norms = nn.ModuleList(_norm(width, norm_momentum) for _ in self.convolutions)
        self.pool = nn.MaxPool2d(2)

    def forward(self, maps: Tensor) -> Tensor:
        maps = self.pool(self.convolutions[0](maps))
        maps = nn.functional.gelu(self.norms[0](maps))
        for convolution, norm in zip(self.convolutions[1:], self.norms[1:], strict=True):
            maps = nn.functional.gelu(norm(convolution(maps)))
        return maps


def _convolution(source: int, width: int, size: int) -> nn.Conv2d:
    """size x size, begun as the identity on the first channels; of an odd size with a border, which keeps the side."""
    convolution = nn.Conv2d(source, width, size, padding=size // 2 if size % 2 else 0, bias=False)
    nn.init.dirac_(convolution.weight.data[:source])
    return convolution


def _norm(width: int, momentum: float) -> nn.BatchNorm2d:
    """BatchNorm with a trained shift alone."""
    norm = nn.BatchNorm2d(width, momentum=1 - momentum)
    norm.weight.requires_grad_(False)
    return norm


def whitening_filters(image: Tensor, size: int) -> Tensor:
    """The eigenvectors of all patches' covariance, each divided by its standard deviation, largest variance first.

    image: (B, C, H, W). Returns (C·size², C, size, size).
    """
    channels = image.shape[1]
    patches = image.float().unfold(2, size, 1).unfold(3, size, 1).permute(0, 2, 3, 1, 4, 5)
    flat = patches.reshape(-1, channels * size * size)
    variances, directions = torch.linalg.eigh(flat.T @ flat / len(flat))
    scaled: Tensor = directions.T / torch.sqrt(variances[:, None] + SOFTENING)
    return scaled.flip(0).reshape(-1, channels, size, size)


def _check_whitened(directions: int, values: int) -> None:
    if not 1 <= directions <= values:
        raise ValueError(
            f"models.whitened={2 * directions}: use an even number from 2 to {2 * values}, twice the values of a patch"
        )


def _pooled_sides(side: int, entry_size: int, groups: int) -> list[int]:
    """Of the maps after each group's pooling."""
    sides = list[int]()
    for _ in range(groups):
        side = (side if entry_size % 2 else side - 1) // 2
        sides.append(side)
    return sides
