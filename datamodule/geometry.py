"""Augmentations that move pixels: crops, flips, resized crops."""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from datamodule.randomness import Draws, Floats, Ints
from datamodule.transforms import IGNORED, Geometric, Motion, Transform, as_pixels, as_planes, as_tensor, with_rows

Border = Literal["reflect", "edge", "constant"]
LARGE = 48 * 48  # pixels of a resized crop, from which on a CPU is faster with one after the other


class PadCrop(Geometric):
    """Shifts by up to `pixels` in each direction; `mode` says what comes in at the border (constant: black)."""

    def __init__(self, pixels: int = 4, mode: Literal["reflect", "edge", "constant"] = "reflect") -> None:
        if pixels < 1:
            raise ValueError(f"cannot shift by {pixels} pixels; give 1 or more")
        self.pixels, self.mode = pixels, mode

    def fitted(self, height: int, width: int) -> Transform:
        if self.mode == "reflect" and self.pixels >= min(height, width):
            raise ValueError(f"cannot reflect {self.pixels} pixels of a {height} x {width} image; lower pixels")
        return self

    def motion(self, height: int, width: int, draws: Draws) -> Motion:
        top, left = np.floor(draws.uniform(2) * (2 * self.pixels + 1)).astype(np.int64).T

        def move(picture: Tensor, exact: bool) -> Tensor:
            wide, rows = padded(as_pixels(picture), self.pixels, self.mode, IGNORED if exact else 0)
            return windows(wide, rows[top[:, None] + np.arange(height)], left, width).permute(0, 3, 1, 2)

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
        boxes = whole_pixels(self.boxes(draws, size[1] / size[0]), height, width)
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
    """PadCrop by an eighth for images of up to `limit` pixels, RandomResizedCrop for larger ones."""

    def __init__(
        self,
        limit: int = 64,
        mode: Literal["reflect", "edge", "constant"] = "reflect",
        scale: Sequence[float] = (0.35, 1.0),
    ) -> None:
        self.limit, self.mode, self.scale = limit, mode, scale

    def fitted(self, height: int, width: int) -> Transform:
        small = max(height, width) <= self.limit
        chosen = PadCrop(math.ceil(min(height, width) / 8), self.mode) if small else RandomResizedCrop(self.scale)
        return chosen.fitted(height, width)


def padded(pixels: Tensor, count: int, mode: Border, fill: int) -> tuple[Tensor, Ints]:
    """(B, H, W, C) with `count` pixels more at each side, and which of its rows a picture padded above and below has.

    Only for "constant" rows are really added; elsewhere each row above and below is one of the picture's.
    """
    batch, height, width, channels = pixels.shape
    if mode == "constant":
        framed = pixels.new_full((batch, height + 2 * count, width + 2 * count, channels), fill)
        framed[:, count : count + height, count : count + width] = pixels
        return framed, np.arange(height + 2 * count)
    columns = np.pad(np.arange(width), count, mode)
    outside = np.concatenate((columns[:count], columns[count + width :]))
    left, right = pixels.index_select(2, as_tensor(outside, pixels.device)).split(count, 2)
    return torch.cat((left, pixels, right), 2), np.pad(np.arange(height), count, mode)


def windows(pixels: Tensor, rows: Ints, left: Ints, width: int) -> Tensor:
    """From each of (B, H, W, C) these rows (B, h), `width` pixels from `left` (B,) on; all in one copy of rows."""
    batch, high, wide, channels = pixels.shape
    first = ((np.arange(batch) * high)[:, None] + rows) * wide + left[:, None]
    spans = pixels.as_strided((batch * high * wide - width + 1, width * channels), (channels, 1))
    chosen = spans.index_select(0, as_tensor(first.reshape(-1), pixels.device))
    return chosen.view(batch, rows.shape[1], width, channels)


def mirror(rows: Ints, axis: int) -> Motion:
    """Mirrors some rows; axis: 1 top and bottom, 2 left and right."""

    def move(picture: Tensor, exact: bool) -> Tensor:
        return with_rows(as_pixels(picture), rows, lambda some: some.flip(axis)).permute(0, 3, 1, 2)

    return move


def whole_pixels(boxes: Floats, height: int, width: int) -> Ints:
    """Boxes (B, 4: left, top, width, height as shares) in pixels of a picture, one at least on each side."""
    sides = np.maximum(1, np.round(boxes[:, 2:] * (width, height)))
    corners = np.minimum(np.round(boxes[:, :2] * (width, height)), (width, height) - sides)
    return np.concatenate((corners, sides), axis=1).astype(np.int64)


def resample(picture: Tensor, boxes: Ints, size: tuple[int, int], exact: bool) -> Tensor:
    """Each picture's box (B, 4: left, top, width, height in pixels) at `size`; if exact, to the nearest pixel.

    Large pictures on a CPU go one by one and antialiased, which is eight times faster there; elsewhere all at once.
    """
    if exact or picture.device.type != "cpu" or size[0] * size[1] < LARGE:
        mode = "nearest" if exact else "bilinear"
        sampled = warp(as_planes(picture), _box_maps(boxes, *picture.shape[2:]), size, mode, "border")
        return sampled.to(picture.dtype) if exact else sampled
    scaled = picture.new_empty(len(picture), *size, picture.shape[1]).permute(0, 3, 1, 2)
    for one, whole, (left, top, width, height) in zip(scaled, picture, boxes.tolist(), strict=True):
        part = whole[None, :, top : top + height, left : left + width]
        one.copy_(F.interpolate(part, size, mode="bilinear", antialias=True)[0])
    return scaled


def _box_maps(boxes: Ints, height: int, width: int) -> Floats:
    """What `warp` needs to show boxes."""
    shares, maps = boxes / (width, height, width, height), np.zeros((len(boxes), 2, 3))
    maps[:, 0, 0], maps[:, 1, 1] = shares[:, 2:].T
    maps[:, :, 2] = 2 * shares[:, :2] + shares[:, 2:] - 1
    return maps


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
