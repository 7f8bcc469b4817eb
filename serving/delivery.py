"""From a finished run folder to a package that a store takes, wherever that is. Free of torch."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

PACKAGE, GOLDEN = "package.json", "golden.safetensors"  # serving.packing writes them
EMBEDDINGS, MASKS = "embeddings", "masks"  # beside the golden batch, of many more images: serving.monitoring
Put = Callable[[Path], str]  # brings a file to the store; answers its sha256


def package_of(folder: Path, name: str, put: Put) -> dict[str, Any]:
    """The package of a finished run as the store takes it, its files brought there first.

    Raises ValueError where the folder holds none.
    """
    if not (folder / PACKAGE).is_file():
        raise ValueError(f"{folder} holds no {PACKAGE}: train with callback=store, or as a job")
    stored = json.loads((folder / PACKAGE).read_text())
    measured = stored["measurement"]
    if measured:
        measured |= {"predictions": put(folder / f"predictions_{measured['split']}.csv")}
    return {
        "name": name,
        "model": put(folder / "model.safetensors"),
        "manifest": (folder / "model.json").read_text(),
        "configuration": put(folder / "full_configurations.yaml"),
        "golden": put(folder / GOLDEN),
        **stored,
    }
