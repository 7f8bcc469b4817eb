"""What size images get, for the model and in the training store."""

import math

import numpy as np

from datamodule.inventory import Inventory
from datamodule.preprocessing import Preprocessing, Squash

MIXED_SIZE = 224  # pixels, where the images' own sizes differ and none is asked for


def image_size(inventory: Inventory, height: int | None, width: int | None) -> tuple[int, int]:
    """Height and width as asked for; a side that is not follows the images' own shape where they share one."""
    own = np.unique(np.stack((inventory.height, inventory.width), axis=1), axis=0)
    high, wide = own[0].tolist() if len(own) == 1 else (MIXED_SIZE, MIXED_SIZE)
    if height is None:
        return (high, wide) if width is None else (max(1, round(width * high / wide)), width)
    return height, max(1, round(height * wide / high)) if width is None else width


def training_squash(inventory: Inventory, preprocessing: Preprocessing, scale: float) -> Squash | None:
    """How training pictures are stored if crops are drawn from them: whole, `scale` times the image if they are larger.

    None where evaluation's pictures show as much: same shape, not larger, nothing cut off.
    """
    if scale == 1:
        return None
    high, wide = preprocessing.height, preprocessing.width
    largest = int(inventory.height.max()), int(inventory.width.max())
    sides = [max(side, min(math.ceil(scale * side), own)) for side, own in zip((high, wide), largest, strict=True)]
    shaped_alike = bool((inventory.height * wide == inventory.width * high).all())
    if shaped_alike and preprocessing.crop == 1 and sides == [high, wide]:
        return None
    return Squash(sides[0], sides[1], preprocessing.channels, preprocessing.interpolation)
