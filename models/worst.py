"""The images that a network is most wrong about, where an image has several labels or values."""

import math
from collections.abc import Callable, Sequence
from pathlib import PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datamodule.data import ImageData
from models.inference import Predictions
from utils.report import Gallery, Picture, Section, Text

Array = NDArray[Any]
Heat = Callable[[Array, int], Array | None]  # an image and a label's number → the image with what spoke for it

SHOWN = 24
MOST_NAMED = 3  # labels or values under one picture


def worst_labels(found: Predictions, probs: Array, data: ImageData, heat: Heat) -> Section:
    """The images with the most confidently wrong label. probs: (images, labels)."""
    wrong = np.abs(probs - found.target) * ((probs >= 0.5) != found.target.astype(bool))  # (images, labels)
    order = np.argsort(-wrong.max(axis=1), kind="stable")[:SHOWN]
    places = [int(place) for place in order if wrong[place].max() > 0]
    if not places:
        return Section("Failures", (Text("Every label of every image is right."),))
    read = data.reader(data.inventory)
    pictures = []
    for place in places:
        image, worst = read(int(found.rows[place])), int(wrong[place].argmax())
        said = _called(wrong[place], found.target[place], probs[place], data.classes)
        pictures.append(_picture(image, data, int(found.rows[place]), said, heat(image, worst), wrong[place, worst]))
    note = "The most confidently wrong label first; beside the image what spoke for that label, if anything (Grad-CAM)."
    if all(picture.beside is None for picture in pictures):
        note = "The most confidently wrong label first."
    return Section("Failures", (Gallery(tuple(pictures)),), f"{note} A wrong label looks like this, too.")


def _called(wrong: Array, truth: Array, probs: Array, classes: Sequence[str]) -> str:
    """Such as "misses cat (2.0 %), adds dog (91.0 %)", no line ending before a %."""
    places = [place for place in np.argsort(-wrong, kind="stable")[:MOST_NAMED] if wrong[place] > 0]
    told = [
        f"{'misses' if truth[place] else 'adds'} {classes[place]} ({100 * probs[place]:.1f}\u00a0%)" for place in places
    ]
    more = int((wrong > 0).sum()) - len(told)
    return ", ".join(told) + (f" and {more} more" if more else "")


def worst_values(found: Predictions, data: ImageData) -> Section:
    """The images whose values are furthest off, in the targets' standard deviations."""
    spread = found.target.std(axis=0)
    off = np.abs(found.logits - found.target) / np.where(spread > 0, spread, 1.0)
    places = np.argsort(-off.max(axis=1), kind="stable")[:SHOWN]
    read = data.reader(data.inventory)
    pictures = []
    for place in places.tolist():
        worst = np.argsort(-off[place], kind="stable")[:MOST_NAMED]
        named = [_both(found.target[place, k], found.logits[place, k], spread[k]) for k in worst]
        several = len(data.classes) > 1
        said = ", ".join(f"{data.classes[k]} {text}" if several else text for k, text in zip(worst, named, strict=True))
        row = int(found.rows[place])
        pictures.append(_picture(read(row), data, row, said))
    note = "True → predicted value, the furthest off first, in standard deviations of the target."
    return Section("Worst", (Gallery(tuple(pictures)),), note)


def _both(true: float, predicted: float, spread: float) -> str:
    """With as many decimals as tell a tenth of the target's deviation."""
    decimals = max(0, 1 - math.floor(math.log10(spread))) if spread > 0 else 2
    return f"{true:.{decimals}f} → {predicted:.{decimals}f}"


def _picture(
    image: Array, data: ImageData, row: int, said: str, beside: Array | None = None, share: float | None = None
) -> Picture:
    file = str(data.inventory.path[row])
    hint = f"{file}: {said}"
    return Picture(image, title=said, note=PurePath(file).name, hint=hint, share=share, beside=beside)
