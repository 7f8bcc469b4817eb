"""The manifest of a model file, `model.json`: what its weights mean. Free of torch, for servers that run without it."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from datamodule.preprocessing import Preprocessing


class Manifest(BaseModel):
    """What a weights file means. Unknown keys are refused, so that a reader never ignores what it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: str
    architecture: dict[str, Any]  # a node that `build` makes the network from
    classes: list[str]  # digit=3 where there are several heads, head by head
    preprocessing: dict[str, Any]  # datamodule.preprocessing.Preprocessing
    temperature: float | list[float] | None = None  # one for each of several heads
    weights_sha256: str
    parameters: int
    metrics: dict[str, float | None]
    metrics_digest: str | None = None  # of the set they were measured on
    data_digest: str
    configuration_digest: str
    parent: str | None = None  # weights_sha256 of the model this one started from


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a run or model folder; a missing or foreign one is refused with its path."""
    file = folder / "model.json"
    if not file.is_file():
        raise ValueError(
            f"{folder} holds no model (no model.json): the run is unfinished, go on with resume_full_training={folder}"
        )
    try:
        return Manifest.model_validate_json(file.read_text())
    except ValidationError as error:
        raise ValueError(f"{file} is no manifest of this version: {error}") from error


def preprocessing(manifest: Manifest) -> Preprocessing:
    """The model's own evaluation transform."""
    stored = manifest.preprocessing
    return Preprocessing(**stored | {"mean": tuple(stored["mean"]), "std": tuple(stored["std"])})
