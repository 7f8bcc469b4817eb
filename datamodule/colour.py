"""Augmentations that change colours."""

import numpy as np
import torch
from torch import Tensor

from datamodule.randomness import Draws, Floats
from datamodule.transforms import Transform, as_planes, as_tensor

GRAY = np.array([0.299, 0.587, 0.114])  # what red, green and blue add to brightness (ITU-R BT.601)
TO_YIQ = np.array([GRAY, [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
FROM_YIQ = np.linalg.inv(TO_YIQ)


class ColorJitter(Transform):
    """Brightness, contrast and saturation by factors of up to 1 ± the number given, hue by up to that share of a turn.

    All four are one linear map of each sample's colours; hue turns in YIQ space. Images without three colours keep
    their saturation and hue.
    """

    def __init__(
        self, brightness: float = 0.4, contrast: float = 0.4, saturation: float = 0.4, hue: float = 0.0
    ) -> None:
        self.spans = (brightness, contrast, saturation, hue)
        if min(self.spans) < 0 or max(self.spans[:3]) > 1 or hue > 0.5:
            raise ValueError(
                f"brightness, contrast, saturation {self.spans[:3]} must be in [0, 1], hue {hue} in [0, 0.5]"
            )

    def __call__(self, image: Tensor, target: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        bright, contrast, saturation, hue = ((2 * draws.uniform(4) - 1) * self.spans).T
        factor, planes = (1 + bright) * (1 + contrast), as_planes(image).flatten(2)
        gray = _mean_gray(planes) * as_tensor(-contrast * (1 + bright), image.device)
        if image.shape[1] == 3:
            maps = as_tensor(_colour_maps(factor, 1 + saturation, 2 * np.pi * hue), image.device)
            coloured = torch.baddbmm(gray[:, None, None], maps, planes)
        else:
            coloured = planes * as_tensor(factor, image.device)[:, None, None] + gray[:, None, None]
        return coloured.clamp_(0, 255).view(image.shape), target


def _mean_gray(planes: Tensor) -> Tensor:
    """(B,) mean brightness of (B, C, H * W)."""
    means = planes.mean(2)
    return means @ as_tensor(GRAY, planes.device) if means.shape[1] == 3 else means.mean(1)


def _colour_maps(factor: Floats, saturation: Floats, turn: Floats) -> Floats:
    """(B, 3, 3): scale, then saturation around gray, then hue by `turn` radians."""
    cos, sin, one, zero = np.cos(turn), np.sin(turn), np.ones_like(turn), np.zeros_like(turn)
    rotation = np.moveaxis(np.array([[one, zero, zero], [zero, cos, -sin], [zero, sin, cos]]), 2, 0)
    hue = FROM_YIQ @ rotation @ TO_YIQ
    gray = np.ones((3, 1)) * GRAY
    saturate = saturation[:, None, None] * np.eye(3) + (1 - saturation)[:, None, None] * gray
    mapped: Floats = factor[:, None, None] * (hue @ saturate)
    return mapped
