"""What a model's logits say about an image, as JSON: one teller a task. Free of torch."""

import base64
import io
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from datamodule.heads import heads_in
from datamodule.preprocessing import Preprocessing
from models.manifest import Manifest
from models.probabilities import label_probabilities, probabilities, temperatures
from models.rendering import LABEL_THRESHOLD, UNSEEN, ranking

Array = NDArray[Any]
Answer = dict[str, Any]


class Asked(NamedTuple):
    """Of one image: how many classes to name, and its own size in pixels."""

    top_k: int
    height: int
    width: int


Teller = Callable[[Array, Sequence[Asked]], list[Answer]]


def teller(manifest: Manifest, shape: Preprocessing) -> Teller:
    """The teller of the model's task: logits (n, …) of n images to an answer for each. Raises ValueError."""
    made = {"classification": _classes, "heads": _heads, "multilabel": _labels, "regression": _values}
    if manifest.task in made:
        return made[manifest.task](manifest)
    if manifest.task == "segmentation":
        return _masks(manifest, shape)
    raise ValueError(f"no task {manifest.task!r} is served; those are {', '.join([*made, 'segmentation'])}")


def _classes(manifest: Manifest) -> Teller:
    """The likeliest classes with their calibrated probabilities."""
    assert not isinstance(manifest.temperature, list)
    classes, temperature = manifest.classes, manifest.temperature or 1.0

    def tell(logits: Array, asked: Sequence[Asked]) -> list[Answer]:
        return [{"top": found} for found in _top(logits, classes, temperature, asked)]

    return tell


def _heads(manifest: Manifest) -> Teller:
    """The same of each head."""
    heads = heads_in(manifest.classes)
    each = list(zip(heads, temperatures(manifest.temperature, heads), strict=True))

    def tell(logits: Array, asked: Sequence[Asked]) -> list[Answer]:
        tops = [_top(logits[:, head.columns], head.classes, own or 1.0, asked) for head, own in each]
        named = [[{"head": head.name, "top": top} for top in own] for (head, _), own in zip(each, tops, strict=True)]
        return [{"heads": list(of_image)} for of_image in zip(*named, strict=True)]

    return tell


def _labels(manifest: Manifest) -> Teller:
    """The likeliest labels, each with whether it is given."""
    assert not isinstance(manifest.temperature, list)
    classes, temperature = manifest.classes, manifest.temperature or 1.0

    def tell(logits: Array, asked: Sequence[Asked]) -> list[Answer]:
        ranked = _ranked(label_probabilities(logits, temperature), classes, asked)
        return [{"labels": [one | {"given": one["probability"] >= LABEL_THRESHOLD} for one in own]} for own in ranked]

    return tell


def _values(manifest: Manifest) -> Teller:
    """Each target in its own unit."""
    names = manifest.classes or ["value"]

    def tell(logits: Array, asked: Sequence[Asked]) -> list[Answer]:
        rows = logits.reshape(len(logits), len(names)).tolist()
        return [{"values": [{"target": name, "value": value} for name, value in zip(names, row, strict=True)]}
                for row in rows]  # fmt: skip

    return tell


def _masks(manifest: Manifest, shape: Preprocessing) -> Teller:
    """A PNG of class numbers of the image's own size, and the share of each class in what was looked at."""
    classes = manifest.classes

    def tell(logits: Array, asked: Sequence[Asked]) -> list[Answer]:
        """logits: (n, classes, height, width); of a single class those above 0 are 1."""
        masks = (logits[:, 0] > 0 if logits.shape[1] == 1 else logits.argmax(1)).astype(np.uint8)
        return [{"mask": png_of(shape.undo(mask, own.height, own.width, UNSEEN)), "shares": _shares(mask, classes)}
                for mask, own in zip(masks, asked, strict=True)]  # fmt: skip

    return tell


def _top(
    logits: Array, classes: Sequence[str], temperature: float, asked: Sequence[Asked]
) -> list[list[dict[str, Any]]]:
    return _ranked(probabilities(logits, temperature), classes, asked)


def _ranked(probs: Array, classes: Sequence[str], asked: Sequence[Asked]) -> list[list[dict[str, Any]]]:
    found = ranking(probs, max(own.top_k for own in asked))
    return [
        [{"class": classes[place], "probability": share} for place, share in one[: own.top_k]]
        for one, own in zip(found, asked, strict=True)
    ]


def _shares(mask: Array, classes: Sequence[str]) -> list[dict[str, Any]]:
    names = classes if len(classes) > 1 else ["background", *classes]
    counts = np.bincount(mask.ravel(), minlength=len(names)) / mask.size
    return [{"class": name, "share": float(share)} for name, share in zip(names, counts, strict=False)]


def png_of(mask: NDArray[np.uint8]) -> str:
    """A mask (height, width) as a data URL; its palette keeps classes apart, unseen pixels are transparent."""
    image = Image.fromarray(mask, "P")
    image.putpalette(_palette())
    stream = io.BytesIO()
    image.save(stream, "PNG", transparency=UNSEEN)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()


def _palette() -> list[int]:
    """256 colours that differ early on: each bit of the class number goes to a high bit of red, green or blue (VOC)."""
    colours = np.zeros((256, 3), np.uint8)
    numbers = np.arange(256)
    for place in range(8):
        for channel in range(3):
            colours[:, channel] |= (((numbers >> (3 * place + channel)) & 1) << (7 - place)).astype(np.uint8)
    return [int(value) for value in colours.ravel()]
