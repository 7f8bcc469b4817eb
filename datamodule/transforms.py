"""Augmentation of whole batches: what a transform is, how several follow each other, and the normalisation after."""

from collections.abc import Callable, Mapping
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from datamodule.randomness import Draws

IGNORED = 255  # the class of mask pixels that a transform had to invent


class Transform:
    """One augmentation. Subclasses give `__call__`, or a geometric one its `motion`.

    image: (B, C, H, W) with values 0..255 in uint8 or float32, which is what comes back too; quickest as uint8 and with
    channels last in memory.
    target: (B,) classes, (B, K) shares or values, or (B, H, W) masks. Parameters are drawn and computed in numpy, for
    all samples at once; only pixels are touched by torch.
    """

    store_scale = 1.0  # how much larger than the image the stored training pictures had better be
    softens = False  # gives (B, K) class shares instead of (B,) classes

    def fitted(self, height: int, width: int) -> "Transform":
        """The same for images of this size; called once, before the first batch."""
        return self

    def __call__(self, image: Tensor, target: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        raise NotImplementedError


Motion = Callable[[Tensor, bool], Tensor]  # (B, C, H, W) pictures of one batch, exact (masks are not interpolated)


class Geometric(Transform):
    """A transform that moves pixels: a mask as target moves along."""

    def motion(self, height: int, width: int, draws: Draws) -> Motion:
        """How the samples drawn move, for pictures of this size."""
        raise NotImplementedError

    def __call__(self, image: Tensor, target: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        height, width = image.shape[2:]
        move = self.motion(height, width, draws)
        return move(image, False), move(target[:, None], True)[:, 0] if is_mask(target) else target


class Augmentation:
    """Transforms one after the other, each with a stream of random numbers of its own name's."""

    def __init__(self, transforms: Mapping[str, Transform], classes: int) -> None:
        self.transforms, self.classes = transforms, classes
        self.softens = any(transform.softens for transform in transforms.values())

    def __call__(self, image: Tensor, target: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        if self.softens and not target.is_floating_point() and not is_mask(target):
            target = F.one_hot(target, self.classes).float()
            target = target.sum(1) if target.ndim == 3 else target  # of several heads, one class each
        for name, transform in self.transforms.items():
            image, target = transform(image, target, draws.of(name))
        return image, target


class Normalize:
    """(x / 255 - mean) / std on (B, C, H, W), uint8 or float; float32 and channels last come back.

    mean, std: one number per channel, for images scaled to 0..1.
    """

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        self.mean, self.std = mean, std

    def __call__(self, image: Tensor) -> Tensor:
        pixels = image.permute(0, 2, 3, 1).to(torch.float32, copy=True, memory_format=torch.contiguous_format)
        scale, shift = _row_constants(self.mean, self.std, pixels.shape[2], pixels.device)
        pixels.flatten(2).mul_(scale).add_(shift)  # whole rows: a broadcast over 3 channels is ten times slower
        return pixels.permute(0, 3, 1, 2)


@lru_cache(maxsize=32)
def _row_constants(
    mean: tuple[float, ...], std: tuple[float, ...], width: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Factor and summand for each number of a row of pixels, (W * C,)."""
    deviation = np.asarray(std)
    scale, shift = np.tile(1 / (255 * deviation), width), np.tile(-np.asarray(mean) / deviation, width)
    return as_tensor(scale, device), as_tensor(shift, device)


def is_mask(target: Tensor) -> bool:
    """True for (B, H, W): a class for each pixel."""
    return target.ndim == 3


def as_tensor(array: npt.NDArray[np.generic], device: torch.device) -> Tensor:
    """Parameters computed in numpy, on the pixels' device; float64 becomes float32."""
    narrow = array.astype(np.float32) if array.dtype == np.float64 else np.ascontiguousarray(array)
    return torch.from_numpy(narrow).to(device, non_blocking=device.type == "cuda")


def with_rows(picture: Tensor, rows: npt.NDArray[np.int64], change: Callable[[Tensor], Tensor]) -> Tensor:
    """`picture` (B, ...) with some rows replaced by what `change` makes of them.

    One copy of whole rows, which is several times faster than torch.where or writing by index.
    """
    if not len(rows):
        return picture
    changed = change(picture.index_select(0, as_tensor(rows, picture.device)))
    source = np.arange(len(picture))
    source[rows] = len(picture) + np.arange(len(rows))
    return torch.cat((picture, changed)).index_select(0, as_tensor(source, picture.device))


def as_pixels(picture: Tensor) -> Tensor:
    """(B, C, H, W) as (B, H, W, C), contiguous: a view when memory is channels last."""
    return picture.permute(0, 2, 3, 1).contiguous()


def as_planes(image: Tensor) -> Tensor:
    """(B, C, H, W) in float32, contiguous; where channels mix, several times faster than channels last."""
    return image.contiguous().float()


def as_bytes(image: Tensor) -> Tensor:
    """Rounded to uint8."""
    return image if image.dtype == torch.uint8 else image.clamp(0, 255).round().to(torch.uint8)
