"""Whether an engine still answers as the model does: agreement and accuracy against eager float32 on real images."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datamodule.heads import heads_in
from utils.words import many

Array = NDArray[Any]
UNTOLD = 255  # in a mask: what the pixel shows is not known
CLOSE = 0.01  # of the reference's spread: nearer numbers agree, where numbers are what is predicted


@dataclass(frozen=True)
class Tolerance:
    """agreement: least share of equal decisions. accuracy_drop: most points of accuracy lost."""

    agreement: float = 0.99
    accuracy_drop: float = 0.2

    def __post_init__(self) -> None:
        if not 0 <= self.agreement <= 1:
            raise ValueError(f"engine.agreement={self.agreement} must lie in [0, 1]: it is a share of the images")
        if self.accuracy_drop < 0:
            raise ValueError(f"engine.accuracy_drop={self.accuracy_drop} must not be below 0: it is in points")


@dataclass(frozen=True)
class Verdict:
    """agreement, accuracy: shares; of several heads or values those of the worst. accuracy: None where no target is
    known. less_accurate: refused, for accuracy alone.
    """

    accepted: bool
    why: str
    agreement: float
    accuracy: float | None = None
    less_accurate: bool = False


def decisions(task: str, logits: Array) -> Array:
    """What is made of logits (N, …): classes (N, …), labels given or not (N, labels), of other tasks the values."""
    if task in ("classification", "segmentation"):
        return logits.argmax(axis=1)
    return logits > 0 if task == "multilabel" else logits


def judge(
    task: str, said: Array, reference: Array, target: Array | None, tolerance: Tolerance, classes: Sequence[str] = ()
) -> Verdict:
    """said, reference: logits (N, …) of the same images. target: as `decisions`, or None.

    classes: the model's, which tell the parts of an answer; of several heads target is (N, heads) places among them.
    """
    if not np.isfinite(said).all():
        return Verdict(False, "it answers with what is not a number", 0.0)
    if parts := _parts(task, classes):
        return _of_parts(parts, said, reference, target, tolerance)
    own, model = decisions(task, said), decisions(task, reference)
    agreement = _agreement(own, model)
    comparable = target is not None and target.shape == own.shape
    told = target != UNTOLD if task == "segmentation" and comparable else None
    accuracies = [_accuracy(found, target, told) for found in (own, model)] if comparable else [None, None]
    why = _told(agreement, merit(task), accuracies[0], accuracies[1], len(said))
    lost = 0.0 if accuracies[0] is None or accuracies[1] is None else 100 * (accuracies[1] - accuracies[0])
    if agreement < tolerance.agreement:
        return Verdict(False, f"{why}; {tolerance.agreement:.2%} asked for", agreement, accuracies[0])
    if lost > tolerance.accuracy_drop + 1e-9:
        return Verdict(False, f"{why}; {tolerance.accuracy_drop} points may be lost", agreement, accuracies[0], True)
    return Verdict(True, why, agreement, accuracies[0])


def merit(task: str) -> str:
    """What the accuracy of a verdict is called."""
    return "explained variance" if task == "regression" else "accuracy"


@dataclass(frozen=True)
class Part:
    """A head, or one of several values: judged as if the model answered nothing else.

    columns: of the logits. first: what its target counts from.
    """

    name: str
    task: str
    columns: slice | int
    first: int = 0


def _parts(task: str, classes: Sequence[str]) -> list[Part]:
    """None where the answer is one."""
    if task == "heads":
        return [Part(head.name, "classification", head.columns, head.start) for head in heads_in(classes)]
    if task == "regression" and len(classes) > 1:
        return [Part(name, task, place) for place, name in enumerate(classes)]
    return []


def _of_parts(
    parts: Sequence[Part], said: Array, reference: Array, target: Array | None, tolerance: Tolerance
) -> Verdict:
    """All have to pass."""
    own = {
        part.name: judge(
            part.task, said[:, part.columns], reference[:, part.columns],
            None if target is None else target[:, place] - part.first, tolerance,
        )
        for place, part in enumerate(parts)
    }  # fmt: skip
    refused = {name: one for name, one in own.items() if not one.accepted}
    why = "; ".join(f"{name} {one.why}" for name, one in (refused or own).items())
    accuracies = [one.accuracy for one in own.values() if one.accuracy is not None]
    less_accurate = bool(refused) and all(one.less_accurate for one in refused.values())
    agreement = min(one.agreement for one in own.values())
    return Verdict(not refused, why, agreement, min(accuracies, default=None), less_accurate)


def _agreement(own: Array, model: Array) -> float:
    if own.dtype.kind != "f":
        return float((own == model).mean())
    return float((np.abs(own - model) <= CLOSE * max(float(model.std()), 1e-12)).mean())


def _accuracy(found: Array, target: Any, told: Any = None) -> float:
    """The share that is right, of what is told; of numbers the share of the variance that is explained."""
    if told is not None:
        return float((found == target)[told].sum() / max(int(told.sum()), 1))
    if found.dtype.kind != "f":
        return float((found == target).mean())
    return float(1 - ((found - target) ** 2).mean() / max(float(np.var(target)), 1e-12))


def _told(agreement: float, merit: str, own: float | None, model: float | None, images: int) -> str:
    told = f"agrees on {agreement:.2%} of {many(images, 'image')}"
    if own is None or model is None:
        return told
    return f"{told}, {merit} {own:.2%} against {model:.2%}"
