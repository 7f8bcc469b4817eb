"""Random numbers without state: each is a function of (seed, epoch, sample), whatever was drawn before or elsewhere."""

import zlib
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bits = npt.NDArray[np.uint64]

GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def uniform(seed: int, epoch: int | Ints, index: Ints, stream: int, count: int) -> Floats:
    """Numbers in [0, 1), (B, count): a counter hashed by SplitMix64 (Steele et al. 2014).

    index: (B,) the samples. epoch: one for all, or (B,). stream: who draws, so that two users get unrelated numbers.
    """
    state = np.zeros(1, np.uint64)
    for part in (seed, stream, epoch, index):
        state = _mixed((state ^ np.asarray(part, np.int64).astype(np.uint64)) + GOLDEN)
    steps = np.arange(1, count + 1, dtype=np.uint64) * GOLDEN
    return (_mixed(state[:, None] + steps) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mixed(bits: Bits) -> Bits:
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


def permutation(seed: int, epoch: int, stream: int, count: int) -> Ints:
    """The numbers 0 .. count-1 in an order of the epoch's own."""
    return np.argsort(uniform(seed, epoch, np.arange(count), stream, 1)[:, 0], kind="stable")


def stream_of(name: str) -> int:
    """A stream number for a name, the same on every machine."""
    return zlib.crc32(name.encode())


@dataclass(frozen=True)
class Draws:
    """What the samples of one batch draw from; all columns are (B,).

    epoch, index: the sample and when. repeat: how often it came up before in this epoch (weighted sampling draws some
    several times). aspect: width / height of the picture before it was squashed into the store's shape.
    """

    seed: int
    epoch: Ints
    index: Ints
    repeat: Ints
    aspect: Floats
    stream: int = 0

    def __len__(self) -> int:
        return len(self.index)

    def of(self, name: str) -> "Draws":
        """The same samples, numbers of their own for the transform of this name."""
        return replace(self, stream=stream_of(name))

    def uniform(self, count: int) -> Floats:
        """(B, count) in [0, 1), new in each epoch."""
        return uniform(self.seed, self.epoch + (self.repeat << 32), self.index, self.stream, count)

    def lasting(self, count: int) -> Floats:
        """(B, count) in [0, 1), the same in every epoch."""
        return uniform(self.seed, 0, self.index, ~self.stream, count)
