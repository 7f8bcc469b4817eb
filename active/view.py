"""What a query strategy sees, and what it answers."""

from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Floats = NDArray[np.float32]
Places = NDArray[np.int64]

UNLABELLED = -1


@dataclass(frozen=True, eq=False)
class View:
    """Columns over N images, those of the pool and the labelled ones alike.

    key: (N,) uint64 of each image's content, so that a choice does not hang on the order of the files.
    label: (N,) class numbers, -1 in the pool. embedding: (N, D) float32, each row of length 1.
    probs: (N, classes) the model's calibrated probabilities. features: (N, F) what its last layer gets.
    draws: (T, N, classes) probabilities under T draws of dropout. None where there is no model yet.
    worth: (N,) above 0, what a gain is multiplied by: cost, chance. balance: gains shrink with the labels of a class.
    """

    key: NDArray[np.uint64]
    label: Places
    embedding: Floats
    probs: Array | None = None
    features: Array | None = None
    draws: Array | None = None
    worth: Array | None = None
    balance: bool = False

    def __len__(self) -> int:
        return len(self.key)

    @cached_property
    def labelled(self) -> Places:
        return np.flatnonzero(self.label != UNLABELLED)

    @cached_property
    def pool(self) -> Places:
        return np.flatnonzero(self.label == UNLABELLED)

    def take(self, order: Places) -> "View":
        """The same images in another order."""
        columns = {one.name: getattr(self, one.name) for one in fields(self)}
        moved = {name: column[order] for name, column in columns.items() if name not in ("draws", "balance", "worth")
                 and column is not None}  # fmt: skip
        draws = None if self.draws is None else self.draws[:, order]
        worth = None if self.worth is None else self.worth[order]
        return replace(self, **moved, draws=draws, worth=worth)


@dataclass(frozen=True, eq=False)
class Selection:
    """rows: (count,) places in the view, as they were picked. score: (count,) the gain of each. why: in words."""

    rows: Places
    score: Array
    why: str


def unit(embedding: Array) -> Floats:
    """Rows scaled to length 1; a row of zeros stays."""
    embedding = np.ascontiguousarray(embedding, np.float32)
    length = np.sqrt(np.einsum("nd,nd->n", embedding, embedding, dtype=np.float64)).astype(np.float32)
    return (embedding / np.where(length > 0, length, 1)[:, None]).astype(np.float32, copy=False)
