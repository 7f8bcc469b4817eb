"""RandAugment (Cubuk et al. 2019, arXiv:1909.13719) on whole batches: the samples of an operation go together."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from datamodule.colour import GRAY
from datamodule.geometry import warp
from datamodule.randomness import Draws, Floats, Ints
from datamodule.transforms import IGNORED, Transform, as_bytes, as_pixels, as_planes, as_tensor, is_mask, with_rows

GEOMETRIC = ("shear_x", "shear_y", "translate_x", "translate_y", "rotate")
TONAL = ("brightness", "contrast", "posterize", "solarize", "autocontrast", "equalize")
OPERATIONS = np.array(["identity", *GEOMETRIC, *TONAL, "colour", "sharpness"])

Words = np.ndarray[tuple[int], np.dtype[np.str_]]


class RandAugment(Transform):
    """`count` operations one after the other, drawn from 14 for each sample, at a strength of `magnitude` of 30.

    Operations and strengths are torchvision's. Masks follow the geometric ones.
    """

    def __init__(self, count: int = 2, magnitude: int = 9) -> None:
        if count < 1 or not 0 <= magnitude <= 30:
            raise ValueError(f"count {count} must be 1 or more and magnitude {magnitude} in [0, 30]")
        self.count, self.level = count, magnitude / 30

    def __call__(self, image: Tensor, target: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        pixels = as_pixels(as_bytes(image))
        chance = draws.uniform(2 * self.count).reshape(-1, self.count, 2)
        for number in range(self.count):
            operation = OPERATIONS[np.floor(chance[:, number, 0] * len(OPERATIONS)).astype(np.int64)]
            level = np.where(chance[:, number, 1] < 0.5, -self.level, self.level)
            if is_mask(target):
                target = with_rows(target, *_chosen(operation, GEOMETRIC, level, _move_mask))
            pixels = apply(pixels, operation, level)
        return pixels.permute(0, 3, 1, 2), target


def apply(pixels: Tensor, operation: Words, level: Floats) -> Tensor:
    """One operation for each sample. pixels: (B, H, W, C) uint8; operation: (B,) names; level: (B,) in [-1, 1]."""
    pixels = with_rows(pixels, *_chosen(operation, GEOMETRIC, level, move))
    pixels = with_rows(pixels, *_chosen(operation, TONAL, level, retone))
    pixels = with_rows(pixels, *_chosen(operation, ("sharpness",), level, sharpen))
    if pixels.shape[3] != 3:
        return pixels
    return with_rows(pixels, *_chosen(operation, ("colour",), level, saturate))


Family = Callable[[Tensor, Words, Floats], Tensor]


def _chosen(
    operation: Words, names: tuple[str, ...], level: Floats, family: Family
) -> tuple[Ints, Callable[[Tensor], Tensor]]:
    """The samples whose operation is one of these, and what happens to them."""
    rows = np.flatnonzero(np.isin(operation, names))
    return rows, lambda some: family(some, operation[rows], level[rows])


def move(pixels: Tensor, operation: Words, level: Floats) -> Tensor:
    """Shear by up to 0.3, translate by up to 150/331 of a side, rotate by up to 30 degrees; black comes in."""
    maps = _maps(operation, level, pixels.shape[2] / pixels.shape[1])
    return _warp(as_planes(pixels.permute(0, 3, 1, 2)), maps).to(pixels.dtype).permute(0, 2, 3, 1)


def _move_mask(mask: Tensor, operation: Words, level: Floats) -> Tensor:
    maps = _maps(operation, level, mask.shape[2] / mask.shape[1])
    return (_warp(mask[:, None].float() - IGNORED, maps)[:, 0] + IGNORED).to(mask.dtype)


def _warp(picture: Tensor, maps: Floats) -> Tensor:
    """To the nearest pixel, which keeps bytes and classes whole."""
    height, width = picture.shape[2:]
    return warp(picture, maps, (height, width), "nearest", "zeros")


def _maps(operation: Words, level: Floats, aspect: float) -> Floats:
    """(B, 2, 3) from places in the result to places in the picture, both from -1 to 1; aspect: width / height."""
    maps = np.zeros((len(operation), 2, 3))
    turn = np.deg2rad(30 * level * (operation == "rotate"))
    maps[:, 0, 0] = maps[:, 1, 1] = np.cos(turn)
    maps[:, 0, 1] = (0.3 * level * (operation == "shear_x") - np.sin(turn)) / aspect
    maps[:, 1, 0] = (0.3 * level * (operation == "shear_y") + np.sin(turn)) * aspect
    maps[:, 0, 2] = 2 * 150 / 331 * level * (operation == "translate_x")
    maps[:, 1, 2] = 2 * 150 / 331 * level * (operation == "translate_y")
    return maps


def retone(pixels: Tensor, operation: Words, level: Floats) -> Tensor:
    """Operations that map each value of a channel to another one: all through one table look-up."""
    batch, _, width, channels = pixels.shape
    value = torch.arange(256.0, device=pixels.device).expand(channels, -1)
    table = value.repeat(batch, 1, 1)
    for name in np.unique(operation).tolist():
        rows = as_tensor(np.flatnonzero(operation == name), pixels.device)
        strength = as_tensor(level[operation == name], pixels.device)[:, None, None]
        table.index_copy_(0, rows, TONES[name](value, pixels.index_select(0, rows), strength))
    offset = 256 * np.tile(np.arange(batch * channels, dtype=np.int32).reshape(batch, 1, channels), (1, 1, width))
    places = pixels.flatten(2).int() + as_tensor(offset, pixels.device)
    return as_bytes(table).flatten().index_select(0, places.flatten()).view(pixels.shape)


def _brightness(value: Tensor, pixels: Tensor, level: Tensor) -> Tensor:
    return value * (1 + 0.9 * level)


def _contrast(value: Tensor, pixels: Tensor, level: Tensor) -> Tensor:
    means, channels = pixels.flatten(1, 2).float().mean(1), pixels.shape[3]
    gray = means @ as_tensor(GRAY if channels == 3 else np.full(channels, 1 / channels), pixels.device)
    return gray[:, None, None] + (value - gray[:, None, None]) * (1 + 0.9 * level)


def _posterize(value: Tensor, pixels: Tensor, level: Tensor) -> Tensor:
    step = 2 ** (4 * level.abs()).round()
    return (value / step).floor() * step


def _solarize(value: Tensor, pixels: Tensor, level: Tensor) -> Tensor:
    return torch.where(value >= 255 * (1 - level.abs()), 255 - value, value)


def _autocontrast(value: Tensor, pixels: Tensor, level: Tensor) -> Tensor:
    flat = pixels.flatten(1, 2)
    lowest, highest = flat.amin(1).float()[:, :, None], flat.amax(1).float()[:, :, None]
    stretched = (value - lowest) * (255 / (highest - lowest).clamp(min=1))
    return torch.where(highest > lowest, stretched, value)


def _equalize(value: Tensor, pixels: Tensor, level: Tensor) -> Tensor:
    """Pillow's: the values' ranks, the highest value left out of the step."""
    batch, channels = len(pixels), pixels.shape[3]
    offset = 256 * torch.arange(batch * channels, device=pixels.device).view(batch, 1, channels)
    places = (pixels.flatten(1, 2).long() + offset).flatten()
    histogram = torch.bincount(places, minlength=256 * batch * channels).view(batch, channels, 256).float()
    highest = pixels.flatten(1, 2).amax(1).long()[:, :, None]
    step = ((histogram.sum(2, keepdim=True) - histogram.gather(2, highest)) / 255).floor()
    below = histogram.cumsum(2) - histogram
    equal = ((below + (step / 2).floor()) / step.clamp(min=1)).floor()
    return torch.where(step > 0, equal, value)


# values (C, 256), pixels (n, H, W, C), level (n, 1, 1) -> new values (n, C, 256)
Tone = Callable[[Tensor, Tensor, Tensor], Tensor]

TONES: dict[str, Tone] = {
    "brightness": _brightness,
    "contrast": _contrast,
    "posterize": _posterize,
    "solarize": _solarize,
    "autocontrast": _autocontrast,
    "equalize": _equalize,
}


def saturate(pixels: Tensor, operation: Words, level: Floats) -> Tensor:
    """Towards gray or away from it."""
    planes = as_planes(pixels.permute(0, 3, 1, 2))
    gray = (planes * as_tensor(GRAY, pixels.device)[:, None, None]).sum(1, keepdim=True)
    return as_bytes(gray + (planes - gray) * _factor(level, pixels.device)).permute(0, 2, 3, 1)


def sharpen(pixels: Tensor, operation: Words, level: Floats) -> Tensor:
    """Towards the smoothed picture or away from it; the border pixels stay."""
    if min(pixels.shape[1:3]) < 3:
        return pixels
    values = pixels.float()
    middle = values[:, 1:-1, 1:-1]
    rows = values[:, 2:] + values[:, 1:-1] + values[:, :-2]
    smooth = (rows[:, :, 2:] + rows[:, :, 1:-1] + rows[:, :, :-2] + 4 * middle) / 13
    sharp = pixels.clone()
    sharp[:, 1:-1, 1:-1] = as_bytes(smooth + (middle - smooth) * _factor(level, pixels.device))
    return sharp


def _factor(level: Floats, device: torch.device) -> Tensor:
    return as_tensor(1 + 0.9 * level, device)[:, None, None, None]
