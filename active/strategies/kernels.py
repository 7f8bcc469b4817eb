"""How near two images count, from the cosine of their embeddings."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from active.view import Array, Floats


class Kernel(Protocol):
    def __call__(self, cosine: Floats) -> Floats:
        """0 (nothing in common) to 1 (equal), in place where it can."""


@dataclass(frozen=True)
class Gaussian:
    """exp(-(distance / width)²)"""

    width: float

    def __call__(self, cosine: Floats) -> Floats:
        cosine -= 1
        cosine *= 2 / self.width**2
        np.minimum(cosine, 0, out=cosine)
        found: Floats = np.exp(cosine, out=cosine)
        return found


@dataclass(frozen=True)
class Ball:
    """1 within the radius, else 0; a radius a centre where it is an array (centres,)."""

    radius: float | Array

    def __call__(self, cosine: Floats) -> Floats:
        least = 1 - np.asarray(self.radius, np.float32) ** 2 / 2
        near = cosine >= least - 1e-6
        return near.astype(np.float32)
