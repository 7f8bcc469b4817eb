"""What is kept of an answer: the choice, how sure it was, and the scores in coarse steps, for every task alike."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from datamodule.heads import heads_in
from datamodule.inventory import SEVERAL
from models.probabilities import label_probabilities, probabilities, temperatures

Array = NDArray[Any]

MOST_SCORES = 200  # classes whose scores are kept; of more, the choice and the confidence alone
STEPS = 200  # of a probability: half a per cent, so that another engine's rounding is no drift
GRID = 32  # rows and columns of a mask that are looked at, about
LONGEST = 200  # characters of a choice
GIVEN = 0.5  # the probability from which a label is given


class Kept(NamedTuple):
    """Of n images. choice: class, or classes of heads and given labels joined by "|"; None for values and masks.

    confidence: the choice's probability, the mean over heads, labels or pixels; None for values. scores: (n, columns),
    the probabilities or the classes' shares of the pixels in steps of 1 / STEPS, or the values; None where there are
    too many. embedding: (n, values) of serving.monitoring.embedding; None where it was not kept.
    """

    choice: list[str] | None
    confidence: Array | None
    scores: Array | None
    embedding: Array | None = None


def kept(task: str, classes: Sequence[str], logits: Array, temperature: float | list[float] | None) -> Kept:
    """logits: (n, columns), finite; of masks what `of_masks` made of them."""
    told: dict[str, Callable[[], Kept]] = {
        "classification": lambda: _classes(classes, logits, temperature),
        "heads": lambda: _heads(classes, logits, temperature),
        "multilabel": lambda: _labels(classes, logits, temperature),
        "regression": lambda: Kept(None, None, np.asarray(logits, np.float32)),
        "segmentation": lambda: _masks(np.asarray(logits, np.float64)),  # since steps of float32 are others
    }
    return told[task]()


def _classes(classes: Sequence[str], logits: Array, temperature: float | list[float] | None) -> Kept:
    assert not isinstance(temperature, list)
    probs = probabilities(logits, temperature or 1.0)
    return Kept([classes[place][:LONGEST] for place in probs.argmax(1)], probs.max(1), stepped(probs))


def _heads(classes: Sequence[str], logits: Array, temperature: float | list[float] | None) -> Kept:
    heads = heads_in(classes)
    own = temperatures(temperature, heads)
    each = [probabilities(logits[:, head.columns], one or 1.0) for head, one in zip(heads, own, strict=True)]
    names = [[head.classes[place] for place in probs.argmax(1)] for head, probs in zip(heads, each, strict=True)]
    choice = [SEVERAL.join(of_image)[:LONGEST] for of_image in zip(*names, strict=True)]
    return Kept(choice, np.mean([probs.max(1) for probs in each], axis=0), stepped(np.hstack(each)))


def _labels(classes: Sequence[str], logits: Array, temperature: float | list[float] | None) -> Kept:
    assert not isinstance(temperature, list)
    probs = label_probabilities(logits, temperature or 1.0)
    choice = [
        SEVERAL.join(name for name, given in zip(classes, own, strict=True) if given)[:LONGEST]
        for own in probs >= GIVEN
    ]
    return Kept(choice, sureness(probs), stepped(probs))


def _masks(shown: Array) -> Kept:
    return Kept(None, shown[:, -1], stepped(shown[:, :-1]))


def of_masks(logits: Array) -> Array:
    """Each class's share of the pixels and, last, their mean confidence.

    (n, classes, height, width) to (n, classes + 1). Told by some of the pixels, which is enough to see drift. A single
    class comes after its background.
    """
    height, width = logits.shape[2:]
    some = np.moveaxis(logits[:, :, :: max(1, height // GRID), :: max(1, width // GRID)], 1, -1)
    some = np.concatenate([np.zeros_like(some), some], axis=-1) if some.shape[-1] == 1 else some
    classes = some.shape[-1]
    with np.errstate(invalid="ignore"):  # what is no number is none in the confidence either
        probs = probabilities(some.reshape(-1, classes)).reshape(len(logits), -1, classes)
    chosen = probs.argmax(2)
    shares = [(chosen == number).mean(1) for number in range(classes)]
    return np.stack([*shares, probs.max(2).mean(1)], axis=1).astype(np.float32)


def sureness(probs: Array) -> Array:
    """(n,) of (n, labels): how far from an even chance each label is, on average."""
    return np.asarray(np.maximum(probs, 1 - probs).mean(1))


def stepped(probs: Array) -> Array | None:
    """In coarse steps; None where there are too many columns."""
    return None if probs.shape[1] > MOST_SCORES else in_steps(probs)


def in_steps(probs: Array) -> Array:
    return np.asarray(np.round(probs * STEPS) / STEPS)
