"""Makes a model's engine in a process of its own, which may need torch and minutes; the server then loads the files."""

import json
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from datamodule.decode import Pixels
from serving.blobs import Blobs
from serving.child import ask, begin
from serving.delivery import GOLDEN
from serving.engines.auto import Auto
from serving.engines.cache import is_ready, prepared
from serving.engines.engine import Engine, EngineError
from serving.engines.source import Source, source_of
from serving.package import BadCandidate
from serving.store import SERVED, Files
from utils.build import build
from utils.files import write_whole
from utils.loading import whole

SECONDS = 1800  # to convert a model for all engines
NOISE = 8  # images that an engine is judged on where the model brought none

Golden = tuple[Pixels, NDArray[np.float32]]


def folder_of(root: Path, blobs: Blobs, files: Files) -> Path:
    """A model's files under their own names, in a folder that its engines may be kept in."""
    folder = root / SERVED / files.folder
    folder.mkdir(parents=True, exist_ok=True)
    _linked(blobs.path(files.model), folder / "model.safetensors")
    if files.golden is not None:
        _linked(blobs.path(files.golden), folder / GOLDEN)
    if not (folder / "model.json").is_file():
        write_whole(folder / "model.json", blobs.read(files.manifest).decode())
    return folder


def _linked(blob: Path, file: Path) -> None:
    """The same bytes under another name; a copy where the file system cannot link."""
    if file.exists():
        return
    try:
        os.link(blob, file)
    except FileExistsError:
        return
    except OSError:
        part = file.with_name(f"{file.name}.{os.getpid()}.part")
        shutil.copyfile(blob, part)
        part.replace(file)


def golden_of(folder: Path) -> Golden | None:
    """Images (N, height, width, channels) as stored, and what the network answered where it was trained."""
    file = folder / GOLDEN
    if not file.is_file():
        return None
    stored = load_file(file)
    return stored["pixels"], stored["logits"]


def engine_of(folder: Path, node: Mapping[str, Any]) -> Engine:
    """A model's engine by its node in the configuration, made by another process where it is not there yet.

    Raises BadCandidate where it cannot be had.
    """
    source, chooser = source_of(folder), build(dict(node))
    found = _ready(source, chooser)
    if found is None:
        ask("serving.preparation", [str(folder), json.dumps(dict(node))], SECONDS)
        found = _ready(source, chooser)
    if found is None:
        raise BadCandidate("its engine was made, but is not there: is another process deleting engines?")
    return found


def _ready(source: Source, chooser: Any) -> Engine | None:
    """The engine, where no conversion is needed for it."""
    try:
        if isinstance(chooser, Auto):
            return chooser.remembered(source)
        if chooser.refusal() or is_ready(chooser, source):
            return prepared(chooser, source)
    except (EngineError, ValueError) as error:
        raise BadCandidate(f"its engine cannot be loaded: {error}") from error
    return None


def main(arguments: list[str]) -> None:
    """FOLDER ENGINE: converts; of engine=auto it measures and remembers the choice, too.

    int8 is calibrated on the golden images where it is asked for by name; to judge it as well they are too few.
    """
    folder, node = Path(arguments[0]), json.loads(arguments[1])
    chooser, golden = build(node), golden_of(folder)
    images = None if golden is None else golden[0]
    try:
        if isinstance(chooser, Auto):
            source = source_of(folder)
            chooser.choose(source, source.example(NOISE) if images is None else images)
        else:
            prepared(chooser, source_of(folder, images))
    except (EngineError, ValueError, RuntimeError) as error:
        sys.exit(f"its engine cannot be made: {' '.join(str(error).split())}")


if __name__ == "__main__":
    whole(lambda: main(begin()))
