"""An image in a few numbers that cost microseconds and that words can tell: light, contrast, sharpness, layout, colour.

The same for every model, so it finds what an image network may not say: another camera, a dirty lens, a turned picture.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from datamodule.decode import Pixels

Array = NDArray[Any]

GRID = 32  # rows and columns whose light and colour are looked at, about
ROWS = 8  # in which neighbours are compared, about
DIGITS = 3
CELLS = [f"light {place}" for place in ("top left", "top", "top right", "left", "in the middle", "right",
                                        "bottom left", "bottom", "bottom right")]  # fmt: skip
OF_ALL = ["brightness", "contrast", "sharpness", *CELLS]
TINTS = ["red", "green", "blue"]


def columns(values: int) -> list[str]:
    """What so many values of `embed` are; a single channel has no colour."""
    channels = values - len(OF_ALL)
    return OF_ALL + (TINTS if channels == len(TINTS) else [f"channel {number}" for number in range(channels)])


def embed(pixels: Pixels) -> Array:
    """(height, width, channels) uint8, as the model gets it, to (values,) in thousandths of the range.

    The light of each ninth and each channel's are told against the whole image's. Products with ones, since NumPy's
    means over short axes take twenty times as long.
    """
    height, width, channels = pixels.shape
    colour = pixels[:: max(1, height // GRID), :: max(1, width // GRID)] / np.float32(255)
    light = colour @ np.full(channels, 1 / channels, np.float32)
    brightness, count = light.mean(), light.size
    contrast = np.sqrt(max(0.0, np.vdot(light, light) / count - brightness**2))
    tints = np.ones(count, np.float32) @ colour.reshape(count, channels) / count - brightness
    ninths = (_thirds(_thirds(light).T).T - brightness).ravel()
    values = [brightness, contrast, _sharpness(pixels), *ninths, *(tints if channels > 1 else ())]
    return np.round(values, DIGITS)


def _sharpness(pixels: Pixels) -> float:
    """How far neighbours are apart in a few of the rows, on average."""
    rows = pixels[:: max(1, len(pixels) // ROWS)]
    steps = np.abs(np.subtract(rows[:, 1:], rows[:, :-1], dtype=np.int16))
    return float(steps.sum()) / 255 / max(1, steps.size)


def _thirds(light: Array) -> Array:
    """The mean of each third of the rows: (3, width) of (height, width)."""
    starts = [0, len(light) // 3, len(light) * 2 // 3]
    counts = np.maximum(1, np.diff([*starts, len(light)]))
    return np.asarray(np.add.reduceat(light, starts) / counts[:, None])
