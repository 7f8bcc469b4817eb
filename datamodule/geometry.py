"""Augmentations that move pixels: crops, flips, resized crops."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from datamodule.randomness import Draws, Floats, Ints
from datamodule.transforms import IGNORED, Geometric, Motion, Transform, as_pixels, as_planes, as_tensor, with_rows

Border = Literal["reflect", "edge", "constant"]


class PadCrop(Geometric):
    """Shifts by up to `pixels` in each direction; `mode` says what comes in at the border (constant: black)."""

    def __init__(self, pixels: int = 4, mode: Literal["reflect", "edge", "constant"] = "reflect") -> None:
        if pixels < 0:
            raise ValueError(f"cannot shift by {pixels} pixels; give 0 or more")
        self.pixels, self.mode = pixels, mode

    def fitted(self, height: int, width: int) -> Transform:
        if self.mode == "reflect" and self.pixels >= min(height, width):
            raise ValueError(f"cannot reflect {self.pixels} pixels of a {height} x {width} image; lower pixels")
        return self

    def motion(self, height: int, width: int, draws: Draws) -> Motion:
        top, left = np.floor(draws.uniform(2) * (2 * self.pixels + 1)).astype(np.int64).T

        def move(picture: Tensor, exact: bool) -> Tensor:
            padded = pad(as_pixels(picture), self.pixels, self.mode, IGNORED if exact else 0)
            return windows(padded, top, left, height, width).permute(0, 3, 1, 2)

        return move


class Flip(Geometric):
    """Mirrors left and right (vertical: top and bottom) with a probability."""

    def __init__(self, probability: float = 0.5, vertical: bool = False) -> None:
        if not 0 <= probability <= 1:
            raise ValueError(f"probability {probability} must lie in [0, 1]")
        self.probability, self.vertical = probability, vertical

    def motion(self, height: int, width: int, draws: Draws) -> Motion:
        return mirror(self.flipped(draws), 1 if self.vertical else 2)

    def flipped(self, draws: Draws) -> Ints:
        return np.flatnonzero(draws.uniform(1)[:, 0] < self.probability)


class AlternatingFlip(Flip):
    """Mirrors every other epoch, so that two epochs show both sides of every image (Jordan 2024, arXiv:2404.00498)."""

    def __init__(self, vertical: bool = False) -> None:
        super().__init__(vertical=vertical)

    def flipped(self, draws: Draws) -> Ints:
        first = draws.lasting(1)[:, 0] < 0.5
        return np.flatnonzero((first + draws.epoch + draws.repeat) % 2)


class RandomResizedCrop(Geometric):
    """A random part of the picture, scaled to the image size (Szegedy et al. 2014, arXiv:1409.4842).

    scale: the part's share of the area. ratio: its width / height in undistorted pixels, relative to the image's own.
    Where ten tries do not fit into the picture, the largest middle part that `ratio` allows is taken.
    """

    store_scale = 1.15

    def __init__(
        self, scale: Sequence[float] = (0.08, 1.0), ratio: Sequence[float] = (3 / 4, 4 / 3), tries: int = 10
    ) -> None:
        for name, limits, most in (("scale", scale, 1.0), ("ratio", ratio, float("inf"))):
            if not (len(limits) == 2 and 0 < limits[0] <= limits[1] <= most):
                raise ValueError(f"{name} {list(limits)} must be two rising numbers above 0, of at most {most}")
        self.scale, self.ratio, self.tries = scale, ratio, tries
        self.size = (0, 0)

    def fitted(self, height: int, width: int) -> Transform:
        self.size = (height, width)
        return self

    def motion(self, height: int, width: int, draws: Draws) -> Motion:
        size = self.size
        boxes = self.boxes(draws, size[1] / size[0])
        return lambda picture, exact: resample(picture, boxes, size, exact)

    def boxes(self, draws: Draws, shape: float = 1.0) -> Floats:
        """(B, 4): left, top, width, height as shares of the picture; shape: width / height of the image wanted."""
        chance = draws.uniform(2 * self.tries + 2)
        area = self.scale[0] + chance[:, : self.tries] * (self.scale[1] - self.scale[0])
        low, high = np.log(self.ratio[0] * shape), np.log(self.ratio[1] * shape)
        ratio = np.exp(low + chance[:, self.tries : -2] * (high - low)) / draws.aspect[:, None]
        sides = np.stack((np.sqrt(area * ratio), np.sqrt(area / ratio)), axis=2)
        fits = (sides <= 1).all(axis=2)
        first, found = sides[np.arange(len(draws)), fits.argmax(axis=1)], fits.sum(axis=1)[:, None] > 0
        sides = np.where(found, first, self._largest(draws.aspect, shape))
        place = np.where(found, chance[:, -2:], 0.5)
        return np.concatenate((place * (1 - sides), sides), axis=1)

    def _largest(self, aspect: Floats, shape: float) -> Floats:
        ratio = np.clip(aspect, self.ratio[0] * shape, self.ratio[1] * shape) / aspect
        return np.stack((np.minimum(1, ratio), np.minimum(1, 1 / ratio)), axis=1)


class AutoCrop(Transform):
    """PadCrop by an eighth for images up to `limit` pixels, RandomResizedCrop above."""

    def __init__(
        self,
        limit: int = 64,
        mode: Literal["reflect", "edge", "constant"] = "reflect",
        scale: Sequence[float] = (0.35, 1.0),
    ) -> None:
        self.limit, self.mode, self.scale = limit, mode, scale

    def fitted(self, height: int, width: int) -> Transform:
        small = max(height, width) <= self.limit
        chosen = PadCrop(min(height, width) // 8, self.mode) if small else RandomResizedCrop(self.scale)
        return chosen.fitted(height, width)


def pad(pixels: Tensor, count: int, mode: Border, fill: int) -> Tensor:
    """(B, H, W, C) with `count` pixels more on each side."""
    batch, height, width, channels = pixels.shape
    if mode == "constant":
        padded = pixels.new_full((batch, height + 2 * count, width + 2 * count, channels), fill)
        padded[:, count : count + height, count : count + width] = pixels
        return padded
    for axis in (2, 1):
        pixels = _pad_axis(pixels, axis, count, 1 if mode == "reflect" else 0)
    return pixels


def _pad_axis(pixels: Tensor, axis: int, count: int, step: int) -> Tensor:
    """step: 1 mirrors at the border pixel, 0 repeats it."""
    away = np.arange(1, count + 1) * step
    before, after = as_tensor(away[::-1].copy(), pixels.device), as_tensor(pixels.shape[axis] - 1 - away, pixels.device)
    return torch.cat((pixels.index_select(axis, before), pixels, pixels.index_select(axis, after)), axis)


def windows(pixels: Tensor, top: Ints, left: Ints, height: int, width: int) -> Tensor:
    """From each of (B, H, W, C) a window (height, width) at its own place; all rows in one copy."""
    batch, high, wide, channels = pixels.shape
    first = (np.arange(batch) * high + top)[:, None] + np.arange(height)
    first = (first * wide + left[:, None]).reshape(-1)
    rows = pixels.as_strided((batch * high * wide - width + 1, width * channels), (channels, 1))
    return rows.index_select(0, as_tensor(first, pixels.device)).view(batch, height, width, channels)


def mirror(rows: Ints, axis: int) -> Motion:
    """Mirrors some rows; axis: 1 top and bottom, 2 left and right."""

    def move(picture: Tensor, exact: bool) -> Tensor:
        return with_rows(as_pixels(picture), rows, lambda some: some.flip(axis)).permute(0, 3, 1, 2)

    return move


def resample(picture: Tensor, boxes: Floats, size: tuple[int, int], exact: bool) -> Tensor:
    """Each picture's box (B, 4: left, top, width, height as shares) at `size`; float, or the same type if exact."""
    maps = np.zeros((len(boxes), 2, 3))
    maps[:, 0, 0], maps[:, 1, 1] = boxes[:, 2:].T
    maps[:, :, 2] = 2 * boxes[:, :2] + boxes[:, 2:] - 1
    sampled = warp(as_planes(picture), maps, size, "nearest" if exact else "bilinear", "border")
    return sampled.to(picture.dtype) if exact else sampled


def warp(planes: Tensor, maps: Floats, size: tuple[int, int], mode: str, border: str) -> Tensor:
    """Pictures (B, C, H, W) in float sampled at `size`; mode and border are grid_sample's.

    maps: (B, 2, 3) affine, from (x, y) in the result to (x, y) in the picture, both from -1 to 1.
    """
    down, across = ((2 * np.arange(side) + 1) / side - 1 for side in size)
    by_column, by_row = maps[:, :, :1] * across, maps[:, :, 1:2] * down + maps[:, :, 2:]
    columns, rows = as_tensor(by_column, planes.device), as_tensor(by_row, planes.device)
    grid = planes.new_empty(len(planes), *size, 2)
    for axis in (0, 1):
        torch.add(columns[:, axis, None], rows[:, axis, :, None], out=grid[..., axis])
    return F.grid_sample(planes, grid, mode, padding_mode=border, align_corners=False)
