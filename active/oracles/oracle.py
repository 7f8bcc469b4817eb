"""Who labels: the base of all oracles."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SKIP = None  # an answer: this image gets no label


class Waiting(Exception):
    """Labels are awaited from outside; the same command goes on once they are there."""


@dataclass(frozen=True)
class Question:
    """One image to label. guess: the model's class and its probability, None without a model. again: it has a label
    that looks wrong.
    """

    sha256: str
    path: str
    row: int
    score: float
    guess: tuple[str, float] | None = None
    again: bool = False


@dataclass(frozen=True)
class Desk:
    """What an oracle works with. answer: keeps the label (or None: skipped) of an image at once, by whom it is.

    done: sha256 of the questions of this round that have an answer. image: a row's pixels (H, W, C) uint8.
    file: a row's file, None where the source has none. folder: the oracle's own, the same in each round.
    """

    round: int
    classes: tuple[str, ...]
    folder: Path
    seed: int
    truth: Callable[[int], str]
    image: Callable[[int], NDArray[np.uint8]]
    file: Callable[[int], Path | None]
    answer: Callable[[str, str | None, str], None]
    done: Callable[[], set[str]]
    retract: Callable[[str], None]
    progress: Callable[[], dict[str, Any]]


class Oracle:
    """Answers questions, each as soon as it is known. Asked the same again after a kill it goes on."""

    knows_all = False  # whether every image could be asked for: a reference run may then be made, too

    def answer(self, questions: Sequence[Question], desk: Desk) -> None:
        """Returns when all have an answer; raises Waiting where they come later."""
        raise NotImplementedError
