"""Which samples make up which batch: samplers without state, so that a resumed run gets exactly the batches left."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from datamodule.randomness import Floats, Ints, permutation, stream_of, uniform

ORDER, WEIGHTED = stream_of("order"), stream_of("weighted")
EVALUATION = -1  # the epoch of a batch that is not augmented

Position = Callable[[int], tuple[int, int]]  # batches per epoch -> (epoch, batches of it already done)
Chosen = NDArray[np.bool_]


class BatchKey(NamedTuple):
    """What a data set needs to make one batch."""

    epoch: int
    row: Ints  # (B,) rows of the inventory
    repeat: Ints  # (B,) how often each came up before in this epoch


class TrainingBatches:
    """Each epoch's batches in an order of (seed, epoch) alone; this process's part of them where several train.

    Where an epoch starts is asked from `position` whenever iteration starts, and nothing is remembered: a loader with
    workers starts twice, and one that was restored starts in the middle. A batch of batch_size * world samples is cut
    among the processes; a last one that is not full is left out, unless it is the only one. weights: (n,), with them
    samples are drawn in proportion, with replacement. left_out: is asked when an epoch's batches are made, (all
    rows of the inventory,); the other samples are drawn in place of those it names.
    """

    def __init__(
        self,
        rows: Ints,
        batch_size: int,
        seed: int,
        position: Position,
        rank: int = 0,
        world: int = 1,
        weights: Floats | None = None,
        left_out: Callable[[], Chosen | None] = lambda: None,
    ) -> None:
        if len(rows) < world:
            raise ValueError(f"{len(rows)} training images are too few for {world} processes; lower trainer.devices")
        self.rows, self.seed, self.position, self.rank, self.weights = rows, seed, position, rank, weights
        self.left_out = left_out
        self.world, self.global_size = world, min(batch_size * world, len(rows))

    def __len__(self) -> int:
        return len(self.rows) // self.global_size

    def __iter__(self) -> Iterator[BatchKey]:
        epoch, done = self.position(len(self))
        chosen, repeat = self.drawn(epoch)
        order = permutation(self.seed, epoch, ORDER, len(chosen))
        parts = [self._part(order, number) for number in range(done, len(self))]
        return (BatchKey(epoch, self.rows[chosen[part]], repeat[part]) for part in parts)

    def drawn(self, epoch: int) -> tuple[Ints, Ints]:
        """The epoch's samples (n,) as places in `rows`, not yet shuffled, and how often each was drawn before."""
        count, weights, left_out = len(self.rows), self.weights, self.left_out()
        if left_out is not None:
            weights = (np.ones(count) if weights is None else weights) * ~left_out[self.rows]
        if weights is None:
            return np.arange(count), np.zeros(count, np.int64)
        return systematic_draw(weights, float(uniform(self.seed, epoch, np.zeros(1, np.int64), WEIGHTED, 1)[0, 0]))

    def _part(self, order: Ints, number: int) -> Ints:
        whole = order[number * self.global_size : (number + 1) * self.global_size]
        return np.array_split(whole, self.world)[self.rank]


class EvaluationBatches:
    """Every row once and in order; of several processes, each takes every world-th batch."""

    def __init__(self, rows: Ints, batch_size: int, rank: int = 0, world: int = 1) -> None:
        size = min(batch_size, max(1, len(rows) // world))  # no process goes empty while there are images for it
        self.parts = np.split(rows, range(size, len(rows), size))[rank::world] if len(rows) else []

    def __len__(self) -> int:
        return len(self.parts)

    def __iter__(self) -> Iterator[BatchKey]:
        return (BatchKey(EVALUATION, part, np.zeros_like(part)) for part in self.parts)


def systematic_draw(weights: Floats, start: float) -> tuple[Ints, Ints]:
    """n of n samples with replacement, each as often as its weight says, rounded up or down (systematic resampling).

    weights: (n,) not negative. start: in [0, 1). Returns (n,) picks, ascending, and (n,) how often each came before.
    """
    count = len(weights)
    ends = np.cumsum(weights) * (count / weights.sum())
    picks = np.minimum(np.searchsorted(ends, np.arange(count) + start, side="right"), count - 1)
    return picks, np.arange(count) - np.searchsorted(picks, picks)


def class_weights(codes: Ints, power: float) -> Floats:
    """Each sample's weight (n,) so that classes are drawn between their natural share (power 0) and evenly (power 1).

    codes: (n,) class numbers, not negative.
    """
    return np.bincount(codes)[codes].astype(np.float64) ** -power
