"""The evaluation transform, which is stored in a model's manifest, and the one that fills the training cache."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image, _imaging

from datamodule.decode import Enough, Pixels, decode

Interpolation = Literal["bilinear", "bicubic", "nearest"]
RESAMPLING = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "nearest": Image.Resampling.NEAREST,
}

REACH = 2  # pixels on each side that bicubic interpolation mixes
SPARE = 2  # a scaled decoding leaves at least so many times the pixels of a side that are needed


class Part(NamedTuple):
    """A rectangle as shares of an image's sides."""

    left: float
    top: float
    right: float
    bottom: float


WHOLE = Part(0, 0, 1, 1)


@dataclass(frozen=True)
class Preprocessing:
    """From any image to what the model sees; test, predict and the servers all use it.

    height, width: pixels. mean, std: per channel, for (x / 255 - mean) / std, which is done on tensors.
    crop: share of the resized image that the centre crop keeps, per axis; 1 keeps all that the aspect ratio allows.
    decode: scaled decodes a large JPEG at half, a quarter or an eighth of its size, never below twice what the resize
    leaves: several times as fast on photos of many megapixels, and not the same pixels.
    """

    height: int
    width: int
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: Interpolation = "bilinear"
    crop: float = 1.0
    decode: Literal["exact", "scaled"] = "exact"

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
        if self.decode not in ("exact", "scaled"):
            raise ValueError(f"decode {self.decode!r} is none of exact, scaled")

    @property
    def sides(self) -> tuple[int, int, int]:
        """(height, width, channels) of an image that the model sees."""
        return self.height, self.width, self.channels

    def fit(self, image: Pixels) -> Pixels:
        """(H, W, channels) to (height, width, channels): resize, then centre crop, both as torchvision and timm do.

        Only what the crop keeps is resized, which differs from theirs by at most one grey level, at hard edges of very
        tall images by a few, which Pillow resizes in another order. An image of the right size is left as it is.
        """
        if image.shape == self.sides:
            return image
        high, wide = self._covering(*image.shape[:2])
        top, left = round((high - self.height) / 2), round((wide - self.width) / 2)
        if self.interpolation == "nearest":  # of classes in a mask: what is cut there is cut here to the pixel
            image = self.squash(image, high, wide)
            return np.ascontiguousarray(image[top : top + self.height, left : left + self.width])
        kept = Part(left / wide, top / high, (left + self.width) / wide, (top + self.height) / high)
        return resize(image, self.height, self.width, self.interpolation, kept)

    def read(self, data: bytes) -> Pixels:
        """An image file's pixels (H, W, channels) for `fit`, decoded as declared. Raises BadImage."""
        return decode(data, self.channels, self.enough if self.decode == "scaled" else None)

    def enough(self, height: int, width: int) -> tuple[int, int]:
        """The least size at which an image of these sides may be decoded."""
        high, wide = self._covering(height, width)
        return SPARE * high, SPARE * wide

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
        return self.preprocessing.sides

    @property
    def key(self) -> str:
        chosen = self.preprocessing
        return f"fit {self.shape} {chosen.interpolation} {chosen.crop} {chosen.decode}"

    @property
    def enough(self) -> Enough | None:
        """For readers of files: at which size they may decode."""
        return self.preprocessing.enough if self.preprocessing.decode == "scaled" else None

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


def resize(image: Pixels, height: int, width: int, interpolation: Interpolation, part: Part = WHOLE) -> Pixels:
    """Pillow's antialiased resize of (H, W, C), or of a part; channel by channel where Pillow knows no such image."""
    if image.shape[:2] == (height, width) and part == WHOLE:
        return image
    channels = image.shape[2]
    planes = [image] if channels in (3, 4) else np.moveaxis(image, 2, 0)
    resized = [_resize_plane(plane, (width, height), RESAMPLING[interpolation], part) for plane in planes]
    return resized[0] if channels in (3, 4) else np.stack(resized, axis=2)


def _resize_plane(plane: Pixels, size: tuple[int, int], resampling: Image.Resampling, part: Part) -> Pixels:
    high, wide = plane.shape[:2]
    if part == WHOLE:
        return np.asarray(_pillow(plane, 0, high).resize(size, resampling))
    top, bottom = part.top * high, min(part.bottom * high, high)
    reach = REACH * max(1.0, (bottom - top) / size[1]) + 1  # rows beyond the part that its edges are mixed with
    first, last = max(0, int(top - reach)), min(high, int(bottom + reach) + 1)
    # Across first, then down, as Pillow does it to a whole image: in one call it may choose the other order.
    across = (part.left * wide, 0, min(part.right * wide, wide), last - first)
    rows = _pillow(plane, first, last).resize((size[0], last - first), resampling, across)
    return np.asarray(rows.resize(size, resampling, (0, top - first, size[0], bottom - first)))


def _pillow(plane: Pixels, first: int, last: int) -> Image.Image:
    """Rows of (H, W), (H, W, 3) or (H, W, 4)."""
    rows, size = plane[first:last], (plane.shape[1], last - first)
    whole = _four_bytes(plane)
    if whole is not None:  # Pillow's own layout, so nothing is copied; of `Image.frombuffer` it would resize the fourth
        return Image.Image()._new(_imaging.map_buffer(whole[first:last], size, "raw", 0, ("RGB", 0, 1)))
    if plane.ndim == 3 and plane.shape[2] == 4:
        return Image.frombytes("RGBX", size, rows.tobytes())
    return Image.fromarray(rows)


def _four_bytes(plane: Pixels) -> Pixels | None:
    """(H, W, 4), of which `plane` shows the first three: so `decode` leaves a JPEG in colour."""
    whole = plane.base
    if not isinstance(whole, np.ndarray) or whole.shape != (*plane.shape[:2], 4) or not whole.flags.c_contiguous:
        return None
    return whole if whole[:, :, :3].__array_interface__ == plane.__array_interface__ else None
