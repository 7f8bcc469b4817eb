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
LONGEST = 200  # characters of a choice
GIVEN = 0.5  # the probability from which a label is given


class Kept(NamedTuple):
    """Of n images. choice: class, or classes of heads and given labels joined by "|"; None for values.

    confidence: the choice's probability, the mean over heads or labels; None for values. scores: (n, columns), the
    probabilities in steps of 1 / STEPS, or the values; None where there are too many. embedding: (n, values) of
    serving.monitoring.embedding; None where it was not kept.
    """

    choice: list[str] | None
    confidence: Array | None
    scores: Array | None
    embedding: Array | None = None


def kept(task: str, classes: Sequence[str], logits: Array, temperature: float | list[float] | None) -> Kept:
    """logits: (n, columns), finite."""
    told: dict[str, Callable[[], Kept]] = {
        "classification": lambda: _classes(classes, logits, temperature),
        "heads": lambda: _heads(classes, logits, temperature),
        "multilabel": lambda: _labels(classes, logits, temperature),
        "regression": lambda: Kept(None, None, np.asarray(logits, np.float32)),
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


def sureness(probs: Array) -> Array:
    """(n,) of (n, labels): how far from an even chance each label is, on average."""
    return np.asarray(np.maximum(probs, 1 - probs).mean(1))


def stepped(probs: Array) -> Array | None:
    """In coarse steps; None where there are too many columns."""
    return None if probs.shape[1] > MOST_SCORES else in_steps(probs)


def in_steps(probs: Array) -> Array:
    return np.asarray(np.round(probs * STEPS) / STEPS)
