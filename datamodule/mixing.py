"""Augmentations that blend or blot out: mixup, CutMix, erasing."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from scipy.special import betaincinv
from torch import Tensor

from datamodule.randomness import Draws, Floats, Ints
from datamodule.transforms import Transform, as_pixels, as_tensor, is_mask


class Mixing(Transform):
    """Blends each sample with another one of the batch, image and target by the same share.

    The samples of a batch stand in a drawn ring and each is blended with the next, so that who meets whom depends on
    the batch's samples but not on their order.
    """

    softens = True

    def __init__(self, alpha: float, probability: float) -> None:
        if alpha <= 0 or not 0 <= probability <= 1:
            raise ValueError(f"alpha {alpha} must be above 0 and probability {probability} in [0, 1]")
        self.alpha, self.probability = alpha, probability

    def share(self, chance: Floats) -> Floats:
        """Each sample's own share (B,), from Beta(alpha, alpha), 1 where it is left alone; chance: (B, 2)."""
        drawn: Floats = betaincinv(self.alpha, self.alpha, chance[:, 0])
        return np.where(chance[:, 1] < self.probability, np.maximum(drawn, 1 - drawn), 1.0)


class Mixup(Mixing):
    """A weighted mean of two samples (Zhang et al. 2017, arXiv:1710.09412)."""

    def __init__(self, alpha: float = 0.2, probability: float = 1.0) -> None:
        super().__init__(alpha, probability)

    def __call__(self, image: Tensor, target: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        _refuse_mask(target)
        chance = draws.uniform(3)
        partner = as_tensor(ring(chance[:, 2]), image.device)
        share = as_tensor(self.share(chance), image.device)
        pixels = _blend(as_pixels(image).float(), partner, share)
        return pixels.permute(0, 3, 1, 2), _blend(target.float(), partner, share)


class CutMix(Mixing):
    """A rectangle of another sample (Yun et al. 2019, arXiv:1905.04899); the target follows the pixels."""

    def __init__(self, alpha: float = 1.0, probability: float = 1.0) -> None:
        super().__init__(alpha, probability)

    def __call__(self, image: Tensor, target: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        height, width = image.shape[2:]
        chance = draws.uniform(5)
        partner = as_tensor(ring(chance[:, 2]), image.device)
        sides = np.sqrt(1 - self.share(chance))
        box = _rectangle(chance[:, 3:], sides * width, sides * height, width, height)
        pixels = as_pixels(image)
        mixed = paste(pixels, pixels.index_select(0, partner), box).permute(0, 3, 1, 2)
        if is_mask(target):
            return mixed, paste(target[..., None], target.index_select(0, partner)[..., None], box)[..., 0]
        share = 1 - (box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1]) / (height * width)
        return mixed, _blend(target.float(), partner, as_tensor(share, image.device))


class Erasing(Transform):
    """Fills a random rectangle with the image's mean colour or a random one (Zhong et al. 2017, arXiv:1708.04896).

    scale: the rectangle's share of the area. ratio: its width / height.
    """

    def __init__(
        self,
        probability: float = 0.25,
        scale: Sequence[float] = (0.02, 0.33),
        ratio: Sequence[float] = (0.3, 3.3),
        fill: Literal["mean", "random"] = "mean",
    ) -> None:
        for name, limits, most in (("scale", scale, 1.0), ("ratio", ratio, float("inf"))):
            if not (len(limits) == 2 and 0 < limits[0] <= limits[1] <= most):
                raise ValueError(f"{name} {list(limits)} must be two rising numbers above 0, of at most {most}")
        self.probability, self.scale, self.ratio, self.fill = probability, scale, ratio, fill

    def __call__(self, image: Tensor, target: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        height, width = image.shape[2:]
        chance = draws.uniform(5 + image.shape[1])
        area = (self.scale[0] + chance[:, 0] * (self.scale[1] - self.scale[0])) * height * width
        ratio = np.exp(np.log(self.ratio[0]) + chance[:, 1] * np.log(self.ratio[1] / self.ratio[0]))
        chosen = chance[:, 2] < self.probability
        sides = np.minimum(np.sqrt(area * ratio), width), np.minimum(np.sqrt(area / ratio), height)
        box = _rectangle(chance[:, 3:5], sides[0] * chosen, sides[1] * chosen, width, height, inside=True)
        pixels = as_pixels(image)
        colour = as_tensor(255 * chance[:, 5:], image.device) if self.fill == "random" else _mean_colour(pixels)
        blot = colour.to(image.dtype)[:, None, None].expand(-1, 1, width, -1)
        return paste(pixels, blot, box).permute(0, 3, 1, 2), target


def ring(chance: Floats) -> Ints:
    """Each sample's partner (B,): the next one in the order of their drawn numbers, the first after the last."""
    order = np.argsort(chance, kind="stable")
    partner = np.empty_like(order)
    partner[order] = np.roll(order, -1)
    return partner


def paste(pixels: Tensor, other: Tensor, box: Ints) -> Tensor:
    """(B, H, W, C) with the rectangle `box` (B, 4: left, top, right, bottom) taken from `other`, (B, H or 1, W, C)."""
    height, width, channels = pixels.shape[1:]
    down, across = np.arange(height), np.repeat(np.arange(width), channels)
    rows = (down >= box[:, 1, None]) & (down < box[:, 3, None])
    columns = (across >= box[:, 0, None]) & (across < box[:, 2, None])
    inside = as_tensor(rows[:, :, None] & columns[:, None], pixels.device)
    own, others = pixels.flatten(2), other.flatten(2)
    if pixels.is_floating_point():
        return torch.lerp(own, others, inside.to(own.dtype)).view(pixels.shape)
    mask = inside.to(own.dtype).neg_()  # all bits set inside
    return (own ^ others).bitwise_and_(mask).bitwise_xor_(own).view(pixels.shape)  # torch.where is eight times slower


def _blend(values: Tensor, partner: Tensor, share: Tensor) -> Tensor:
    """share * values + (1 - share) * the partner's values; values: (B, ...), share: (B,)."""
    return torch.lerp(values.index_select(0, partner), values, share.view(-1, *[1] * (values.ndim - 1)))


def _rectangle(place: Floats, wide: Floats, high: Floats, width: int, height: int, inside: bool = False) -> Ints:
    """(B, 4: left, top, right, bottom) in pixels, cut at the border; with `inside` it lies within the picture whole."""
    corners = []
    for axis, (side, length) in enumerate(((wide, width), (high, height))):
        whole, where = np.round(side), place[:, axis]
        start = np.floor(where * (length - whole + 1)) if inside else np.round(where * length - whole / 2)
        corners.append((np.clip(start, 0, length), np.clip(start + whole, 0, length)))
    (left, right), (top, bottom) = corners
    return np.stack((left, top, right, bottom), axis=1).astype(np.int64)


def _mean_colour(pixels: Tensor) -> Tensor:
    """(B, C)."""
    return pixels.flatten(1, 2).float().mean(1)


def _refuse_mask(target: Tensor) -> None:
    if is_mask(target):
        raise ValueError("mixup has no meaning for masks; set datamodule.augment.mixup=null or use CutMix")
