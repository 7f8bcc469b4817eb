"""What a task's logits say about an image, as fields of a row: one renderer a task."""

from collections.abc import Callable, Sequence
from pathlib import PurePosixPath
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from datamodule.heads import heads_in
from datamodule.locations import file_system
from datamodule.preprocessing import Preprocessing
from models.manifest import Manifest
from models.prediction_settings import PredictionSettings
from models.probabilities import label_probabilities, probabilities, temperatures

Array = NDArray[Any]
Fields = list[str]
Columns = dict[str, type[str] | type[float]]

SEVERAL = "|"
UNSEEN = 255  # in a mask: outside of the centre that the network looked at
LABEL_THRESHOLD = 0.5


class View(NamedTuple):
    """An image's name and its own size in pixels."""

    name: str
    height: int
    width: int


class Renderer(Protocol):
    """columns: between `path` and `error`. Called with the logits (n, …) of n images, it answers their rows' fields."""

    columns: Columns

    def __call__(self, logits: Array, views: Sequence[View]) -> list[Fields]: ...


class Classes:
    """predicted, its probability, the next likeliest; with a threshold, `rejected` takes the class that is below it."""

    def __init__(self, manifest: Manifest, chosen: PredictionSettings) -> None:
        assert not isinstance(manifest.temperature, list)
        self.classes, self.temperature, self.threshold = manifest.classes, manifest.temperature or 1.0, chosen.threshold
        self.top_k = _top_k(chosen.top_k, manifest)
        self.columns: Columns = {"predicted": str, "probability": float, **_ranked(range(2, self.top_k + 1))}
        self.columns |= {} if chosen.threshold is None else {"rejected": str}

    def __call__(self, logits: Array, views: Sequence[View]) -> list[Fields]:
        return [self._fields(own) for own in ranking(probabilities(logits, self.temperature), self.top_k)]

    def _fields(self, ranking: list[tuple[int, float]]) -> Fields:
        fields = [field for place, share in ranking for field in (self.classes[place], f"{share:.6f}")]
        if self.threshold is None:
            return fields
        return ["", *fields[1:], fields[0]] if ranking[0][1] < self.threshold else [*fields, ""]


class OfHeads:
    """The same columns for each of several heads, `predicted:digit` and so on."""

    def __init__(self, manifest: Manifest, chosen: PredictionSettings) -> None:
        self.heads = heads_in(manifest.classes)
        self.each = [
            Classes(manifest.model_copy(update={"classes": list(head.classes), "temperature": temperature}), chosen)
            for head, temperature in zip(self.heads, temperatures(manifest.temperature, self.heads), strict=True)
        ]
        self.columns: Columns = {
            f"{column}:{head.name}": kind
            for head, one in zip(self.heads, self.each, strict=True)
            for column, kind in one.columns.items()
        }

    def __call__(self, logits: Array, views: Sequence[View]) -> list[Fields]:
        parts = [one(logits[:, head.columns], views) for head, one in zip(self.heads, self.each, strict=True)]
        return [[field for own in fields for field in own] for fields in zip(*parts, strict=True)]


class Labels:
    """predicted: the labels at or above the threshold, joined by "|"; then the likeliest with their probabilities."""

    def __init__(self, manifest: Manifest, chosen: PredictionSettings) -> None:
        assert not isinstance(manifest.temperature, list)
        self.classes, self.temperature = np.array(manifest.classes, object), manifest.temperature or 1.0
        self.threshold = LABEL_THRESHOLD if chosen.threshold is None else chosen.threshold
        self.top_k = _top_k(chosen.top_k, manifest)
        self.columns: Columns = {"predicted": str, **_ranked(range(1, self.top_k + 1))}

    def __call__(self, logits: Array, views: Sequence[View]) -> list[Fields]:
        probs = label_probabilities(logits, self.temperature)
        rankings = ranking(probs, self.top_k)
        return [self._fields(own, ranking) for own, ranking in zip(probs, rankings, strict=True)]

    def _fields(self, probs: Array, ranking: list[tuple[int, float]]) -> Fields:
        given = SEVERAL.join(self.classes[probs >= self.threshold])
        return [given, *(field for place, share in ranking for field in (self.classes[place], f"{share:.6f}"))]


class Values:
    """One column a target, in the targets' own unit."""

    def __init__(self, manifest: Manifest) -> None:
        self.columns: Columns = dict.fromkeys(manifest.classes or ["value"], float)

    def __call__(self, logits: Array, views: Sequence[View]) -> list[Fields]:
        values = logits.reshape(len(logits), len(self.columns)).astype(np.float32)
        return [[f"{value:.9g}" for value in own] for own in values]


class Masks:
    """A PNG of class numbers for each image, of the image's own size, in `folder`; the row names it."""

    def __init__(self, preprocessing: Preprocessing, folder: str) -> None:
        self.columns: Columns = {"mask": str}
        self.preprocessing, self.folder = preprocessing, folder

    def __call__(self, logits: Array, views: Sequence[View]) -> list[Fields]:
        """logits: (n, classes, height, width); of a single class those above 0 are 1."""
        masks = logits[:, 0] > 0 if logits.shape[1] == 1 else logits.argmax(1)
        return [[self._write(mask.astype(np.uint8), view)] for mask, view in zip(masks, views, strict=True)]

    def _write(self, mask: Array, view: View) -> str:
        files, folder = file_system(self.folder)
        place = f"{folder}/{below(view.name)}.png"
        files.makedirs(place.rpartition("/")[0], exist_ok=True)
        with files.open(place, "wb") as file:
            Image.fromarray(self.preprocessing.undo(mask, view.height, view.width, UNSEEN)).save(file, "PNG")
        return f"{self.folder}/{below(view.name)}.png"


def below(name: str) -> str:
    """A name that can only lie inside a folder, whatever path or URL it was."""
    parts = PurePosixPath(name.rpartition("://")[2]).parts
    return "/".join(part for part in parts if part not in ("/", ".."))


def renderer(manifest: Manifest, chosen: PredictionSettings, preprocessing: Preprocessing, masks: str) -> Renderer:
    """The renderer of the model's task. masks: the folder for a segmentation's PNG files."""
    made: dict[str, Callable[[], Renderer]] = {
        "classification": lambda: Classes(manifest, chosen),
        "heads": lambda: OfHeads(manifest, chosen),
        "multilabel": lambda: Labels(manifest, chosen),
        "regression": lambda: Values(manifest),
        "segmentation": lambda: Masks(preprocessing, masks),
    }
    if manifest.task not in made:
        raise ValueError(f"predict.py knows no task {manifest.task!r}; it predicts {', '.join(made)}")
    return made[manifest.task]()


def _top_k(wanted: int, manifest: Manifest) -> int:
    if wanted > len(manifest.classes):
        raise ValueError(f"top_k={wanted}: the model knows {len(manifest.classes)} classes; use at most that")
    return wanted


def _ranked(places: range) -> Columns:
    return {name: kind for place in places for name, kind in ((f"class_{place}", str), (f"probability_{place}", float))}


def ranking(probs: Array, count: int) -> list[list[tuple[int, float]]]:
    """Of each row of (n, classes) the `count` likeliest, number and probability; of equals the lower number first."""
    order = np.argsort(-probs, axis=1, kind="stable")[:, :count]
    shares = np.take_along_axis(probs, order, axis=1)
    return [list(zip(*own, strict=True)) for own in zip(order.tolist(), shares.tolist(), strict=True)]
