"""The evaluation transform, which is stored in a model's manifest, and the one that fills the training cache."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

from datamodule.decode import Pixels

Interpolation = Literal["bilinear", "bicubic", "nearest"]
RESAMPLING = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "nearest": Image.Resampling.NEAREST,
}


@dataclass(frozen=True)
class Preprocessing:
    """From any image to what the model sees; test, predict and the servers all use it.

    height, width: pixels. mean, std: per channel, for (x / 255 - mean) / std, which is done on tensors.
    crop: share of the resized image that the centre crop keeps, per axis; 1 keeps all that the aspect ratio allows.
    """

    height: int
    width: int
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: Interpolation = "bilinear"
    crop: float = 1.0

    def __post_init__(self) -> None:
        if min(self.height, self.width, self.channels) < 1:
            raise ValueError(f"an image of {self.height} x {self.width} x {self.channels} holds no pixel")
        if not len(self.mean) == len(self.std) == self.channels:
            raise ValueError(f"mean {self.mean} and std {self.std} need a number for each of {self.channels} channels")
        if min(self.std) <= 0:
            raise ValueError(f"std {self.std} must be above 0")
        if self.interpolation not in RESAMPLING:
            raise ValueError(f"interpolation {self.interpolation!r} is none of {', '.join(RESAMPLING)}")
        if not 0 < self.crop <= 1:
            raise ValueError(f"crop {self.crop} must lie in (0, 1]")

    def fit(self, image: Pixels) -> Pixels:
        """(H, W, channels) to (height, width, channels): resize, then centre crop, both as torchvision and timm do.

        An image of the right size is left as it is.
        """
        if image.shape == (self.height, self.width, self.channels):
            return image
        high, wide = self._covering(*image.shape[:2])
        top, left = round((high - self.height) / 2), round((wide - self.width) / 2)
        image = self.squash(image, high, wide)
        return np.ascontiguousarray(image[top : top + self.height, left : left + self.width])

    def _covering(self, height: int, width: int) -> tuple[int, int]:
        """The size of an image of these sides when its centre holds the crop."""
        least_high, least_wide = int(self.height / self.crop), int(self.width / self.crop)
        if least_high * width >= least_wide * height:
            return least_high, max(least_wide, int(least_high * width / height))
        return max(least_high, int(least_wide * height / width)), least_wide

    def undo(self, mask: Pixels, height: int, width: int, unseen: int) -> Pixels:
        """A mask (self.height, self.width) in the geometry that `fit` took it from, (height, width).

        unseen: the class of what the crop had cut away.
        """
        if mask.shape == (height, width):
            return mask
        high, wide = self._covering(height, width)
        top, left = round((high - self.height) / 2), round((wide - self.width) / 2)
        whole = np.full((high, wide, 1), unseen, np.uint8)
        whole[top : top + self.height, left : left + self.width, 0] = mask
        return resize(whole, height, width, "nearest")[:, :, 0]

    def squash(self, image: Pixels, height: int, width: int) -> Pixels:
        """The whole image at (height, width), whatever that does to its aspect ratio."""
        return resize(image, height, width, self.interpolation)


@dataclass(frozen=True)
class Fit:
    """A cache's transform: the evaluation transform."""

    preprocessing: Preprocessing

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.preprocessing.height, self.preprocessing.width, self.preprocessing.channels

    @property
    def key(self) -> str:
        return f"fit {self.shape} {self.preprocessing.interpolation} {self.preprocessing.crop}"

    def __call__(self, image: Pixels) -> Pixels:
        return self.preprocessing.fit(image)


@dataclass(frozen=True)
class Squash:
    """A cache's transform: the whole image, from which training draws its crops."""

    height: int
    width: int
    channels: int
    interpolation: Interpolation = "bilinear"

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.height, self.width, self.channels

    @property
    def key(self) -> str:
        return f"squash {self.shape} {self.interpolation}"

    def __call__(self, image: Pixels) -> Pixels:
        return resize(image, self.height, self.width, self.interpolation)


def resize(image: Pixels, height: int, width: int, interpolation: Interpolation) -> Pixels:
    """Pillow's antialiased resize of (H, W, C), channel by channel where Pillow knows no such image."""
    if image.shape[:2] == (height, width):
        return image
    channels = image.shape[2]
    planes = [image] if channels in (3, 4) else np.moveaxis(image, 2, 0)
    resized = [_resize_plane(plane, height, width, RESAMPLING[interpolation]) for plane in planes]
    return resized[0] if channels in (3, 4) else np.stack(resized, axis=2)


def _resize_plane(plane: Pixels, height: int, width: int, resampling: Image.Resampling) -> Pixels:
    mode = "RGBX" if plane.ndim == 3 and plane.shape[2] == 4 else None
    image = Image.fromarray(plane) if mode is None else Image.frombytes(mode, plane.shape[1::-1], plane.tobytes())
    return np.asarray(image.resize((width, height), resampling))
