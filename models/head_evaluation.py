"""How good each of several heads is, and how often all of them are right."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datamodule.heads import IS, Head, heads_in
from models.evaluation import evaluate_classification
from models.probabilities import temperatures
from models.scores import ClassScores, Evaluation, Score, Temperature
from utils.statistics import wilson

Array = NDArray[Any]


def of_head(target: Any, head: Head, place: int) -> Any:
    """One head's part of targets: its own class numbers (n,), or its classes' shares (n, classes) of mixed samples.

    target: (n, heads) places among all heads' classes, or (n, all heads' classes) shares; arrays and tensors.
    """
    shares = "float" in str(target.dtype)
    return target[:, head.columns] if shares else target[:, place] - head.start


def all_right(logits: Array, target: Array, classes: Sequence[str]) -> Array:
    """Whether every head names the true class, (n,)."""
    heads = list(enumerate(heads_in(classes)))
    right: Array = np.all(
        [logits[:, head.columns].argmax(1) == of_head(target, head, place) for place, head in heads], axis=0
    )
    return right


def evaluate_each(
    logits: Array, target: Array, classes: Sequence[str], rng: np.random.Generator, temperature: Temperature = None
) -> dict[str, Evaluation]:
    """Each head as a classification of its own, by its name."""
    heads = heads_in(classes)
    return {
        head.name: evaluate_classification(
            logits[:, head.columns], of_head(target, head, place), head.classes, rng, own
        )
        for place, (head, own) in enumerate(zip(heads, temperatures(temperature, heads), strict=True))
    }


def evaluate_heads(
    logits: Array, target: Array, classes: Sequence[str], rng: np.random.Generator, temperature: Temperature = None
) -> Evaluation:
    """The share of images that every head is right about, then each head's figures as `head/figure`.

    logits: (images, all heads' classes); target: (images, heads) places among these; classes: full names.
    """
    each = evaluate_each(logits, target, classes, rng, temperature)
    right = all_right(logits, target, classes)
    scores = [Score("exact_match", wilson(int(right.sum()), len(right)))]
    scores += [replace(score, name=f"{name}/{score.name}") for name, one in each.items() for score in one.scores]
    found = each.items()
    return Evaluation(
        task="heads",
        images=len(right),
        scores=tuple(scores),
        undefined=tuple(f"{name}/{figure}" for name, one in found for figure in one.undefined),
        classes=tuple(_named(name, own) for name, one in found for own in one.classes),
        missing=tuple(f"{name}{IS}{figure}" for name, one in found for figure in one.missing),
    )


def _named(head: str, one: ClassScores) -> ClassScores:
    return replace(one, name=f"{head}{IS}{one.name}")
