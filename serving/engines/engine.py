"""What every engine is: a prepared network that takes pixels and answers logits, and how one is made. Free of torch."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from datamodule.decode import Pixels
from datamodule.preprocessing import Preprocessing
from serving.engines.machine import cpu_flags, cpu_name
from serving.engines.source import Source

Logits = NDArray[np.float32]


class EngineError(RuntimeError):
    """An engine's own library could not convert, load or run this model; the message is its first line."""


@dataclass(frozen=True)
class Facts:
    """What an engine declares. precision: as read back from what was built, not as asked for.

    dynamic_batch: whether its graph takes any number of images; where not, they are padded to the next power of two.
    """

    engine: str
    precision: str
    device: str
    dynamic_batch: bool


class Engine(ABC):
    """image (N, height, width, channels) → logits (N, …) float32; one call at a time from each thread.

    The image is fitted to the model's size: uint8, or floats of 0 to 255, which are rounded.
    """

    def __init__(self, facts: Facts, shape: Preprocessing) -> None:
        self.facts = facts
        self.shape = shape

    def __call__(self, image: NDArray[Any]) -> Logits:
        return self.answer(as_pixels(image, self.shape))

    @abstractmethod
    def answer(self, pixels: Pixels) -> Logits:
        """At least one image, contiguous."""

    def rest(self) -> None:  # noqa: B027 - most have nothing to give back
        """Gives back the memory between calls; the next one takes it again."""


class PaddedEngine(Engine):
    """One whose graph is built for each batch size: it is run on powers of two up to `most`, the rest is padding."""

    most = 64

    def answer(self, pixels: Pixels) -> Logits:
        parts = [pixels[first : first + self.most] for first in range(0, len(pixels), self.most)]
        return np.concatenate([self.of_fixed_size(padded(part))[: len(part)] for part in parts])

    @abstractmethod
    def of_fixed_size(self, pixels: Pixels) -> Logits:
        """A power of two of images."""


def padded(pixels: Pixels) -> Pixels:
    """The images, and copies of the first up to the next power of two."""
    missing = (1 << (len(pixels) - 1).bit_length()) - len(pixels)
    return np.concatenate([pixels, np.repeat(pixels[:1], missing, axis=0)]) if missing else pixels


def as_pixels(image: NDArray[Any], shape: Preprocessing) -> Pixels:
    """uint8 and contiguous. Raises ValueError for another size, type or no image at all."""
    if image.ndim != 4 or image.shape[1:] != shape.sides or not len(image):
        raise ValueError(
            f"the engine takes images (N, {', '.join(map(str, shape.sides))}), not {image.shape}: fit them with "
            "the manifest's preprocessing first"
        )
    if np.issubdtype(image.dtype, np.floating):
        image = np.rint(np.clip(image, 0, 255)).astype(np.uint8)
    if image.dtype != np.uint8:
        raise ValueError(f"the engine takes uint8 or floats of 0 to 255, not {image.dtype}")
    return np.ascontiguousarray(image)


@dataclass(frozen=True)
class Maker(ABC):
    """Turns a model file into an engine; one class and one yaml an engine, whose fields are what the yaml chooses."""

    name: ClassVar[str]
    packages: ClassVar[tuple[str, ...]] = ()
    install: ClassVar[str] = "pip install -r requirements.txt"
    converts: ClassVar[bool] = True  # False: made from the weights at each start, there is nothing to keep

    @property
    def precision(self) -> str:
        """As asked for."""
        return "fp32"

    @property
    def label(self) -> str:
        return f"{self.name} {self.precision}"

    def settings(self) -> dict[str, Any]:
        """Its constructor's arguments."""
        return asdict(self)

    def kept_apart_by(self) -> dict[str, Any]:
        """Those of them that change what `convert` writes."""
        return {}

    def version(self) -> str:
        return ", ".join(f"{package} {version(package)}" for package in self.packages)

    def machine(self) -> str:
        """What a converted file is bound to."""
        return f"{cpu_name()} {' '.join(cpu_flags())}"

    def missing(self) -> list[str]:
        """Packages that are not installed."""
        return [package for package in self.packages if find_spec(package) is None]

    def unfit(self) -> str:
        """Why this machine cannot run it; empty where it can. Called where no package is missing."""
        return ""

    def refusal(self) -> str:
        """Why it cannot be had here, with the way out; empty where it can."""
        if missing := self.missing():
            return f"needs {' and '.join(missing)}: {self.install}"
        return self.unfit()

    @abstractmethod
    def convert(self, source: Source, folder: Path) -> None:
        """Writes what `load` needs into an empty folder. May import torch. Raises EngineError."""

    @abstractmethod
    def load(self, source: Source, folder: Path) -> Engine:
        """The engine, ready to answer. Raises EngineError."""


@dataclass(frozen=True)
class TorchMaker(Maker):
    """One that stays in PyTorch, in the precision that its field `type` names: it keeps no file."""

    packages: ClassVar[tuple[str, ...]] = ("torch",)
    converts: ClassVar[bool] = False

    @property
    def precision(self) -> str:
        return str(self.settings()["type"])

    def convert(self, source: Source, folder: Path) -> None:
        raise AssertionError(f"{self.label} has nothing to convert")


def answers(engine: Engine, pixels: Pixels, batch: int = 32) -> Logits:
    """Of many images, in batches."""
    parts: Iterable[Pixels] = (pixels[first : first + batch] for first in range(0, len(pixels), batch))
    return np.concatenate([engine(part) for part in parts])
