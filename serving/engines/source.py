"""The model file that engines are made from. Free of torch until its network is asked for."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from datamodule.decode import Pixels
from datamodule.preprocessing import Preprocessing
from models.manifest import preprocessing, read_manifest

if TYPE_CHECKING:
    from torch import nn

CALIBRATION = 128  # images


@dataclass(frozen=True)
class Source:
    """A run or model folder. identity: of weights, architecture and normalisation, which all end in the graph.

    classes: digit=3 where there are several heads. calibration: (N, height, width, channels) real images for int8.
    """

    folder: Path
    identity: str
    task: str
    shape: Preprocessing
    classes: tuple[str, ...] = ()
    calibration: Pixels | None = None

    def calibrating(self, engine: str) -> Pixels:
        """Real images for int8, CALIBRATION at most. Raises ValueError without such, naming the engine."""
        if self.calibration is None:
            raise ValueError(f"engine {engine} int8 needs images to calibrate with: none were given")
        return self.calibration[:CALIBRATION]

    def example(self, count: int, seed: int = 0) -> Pixels:
        """Random images of the model's size."""
        return np.random.default_rng(seed).integers(0, 256, (count, *self.shape.sides), np.uint8)

    @property
    def engines(self) -> Path:
        """Where converted engines lie."""
        return self.folder / "engines"

    def network(self) -> "nn.Module":
        """In float32 and evaluation mode, without normalisation."""
        from models.model_file import load_model

        return load_model(self.folder)[0]


def source_of(folder: Path, calibration: Pixels | None = None) -> Source:
    """Raises ValueError where the folder holds no model."""
    manifest = read_manifest(folder)
    graph = [manifest.weights_sha256, manifest.architecture, manifest.preprocessing]
    identity = hashlib.sha256(json.dumps(graph, sort_keys=True).encode()).hexdigest()
    return Source(folder, identity, manifest.task, preprocessing(manifest), tuple(manifest.classes), calibration)
