"""Model files of timm's networks with made-up weights, for engines whose speed is to be known."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
import torch
from timm.models import get_pretrained_cfg
from torch import nn

from models.manifest import Manifest
from serving.engines.source import Source, source_of
from tuning.filled_weights import made
from tuning.jobs import Job
from utils.files import write_whole

CALIBRATION = 32  # random images for engines that are quantised: their speed does not hang on what is shown
PLAIN = (0.5, 0.5, 0.5)


@dataclass(frozen=True)
class MadeSource(Source):
    """A manifest without a file of weights: they are made up when the network is asked for."""

    create: Callable[[], nn.Module] = nn.Identity

    def network(self) -> nn.Module:
        return made(self.create)


def made_source(job: Job) -> MadeSource:
    """Of the job's model at its image size; the manifest lies in the job's folder."""
    folder = Path(job.folder)
    write_whole(folder / "model.json", _manifest(job).model_dump_json())
    found = source_of(folder)
    images = found.example(CALIBRATION, seed=1) if job.precision == "int8" else None
    facts = vars(found) | {"calibration": images}
    return MadeSource(**facts, create=lambda: created(job.model, job.height, job.width))


def _manifest(job: Job) -> Manifest:
    cfg = get_pretrained_cfg(job.model)
    channels = cfg.input_size[0] if cfg else 3
    plain = PLAIN[:1] * channels
    preprocessing = {
        "height": job.height, "width": job.width, "channels": channels,
        "mean": list(cfg.mean if cfg and len(cfg.mean) == channels else plain),
        "std": list(cfg.std if cfg and len(cfg.std) == channels else plain),
    }  # fmt: skip
    return Manifest(
        task="classification", architecture={"timm": job.model}, classes=[], preprocessing=preprocessing,
        weights_sha256="", parameters=0, metrics={}, data_digest="", configuration_digest="",
    )  # fmt: skip


def created(model: str, height: int, width: int) -> nn.Module:
    """timm's network; one of a fixed image size is told another one."""
    cfg = get_pretrained_cfg(model)
    other = cfg is not None and cfg.fixed_input_size and tuple(cfg.input_size[1:]) != (height, width)
    told: dict[str, Any] = {"img_size": (height, width)} if other else {}
    return timm.create_model(model, **told)


def on_meta(model: str, height: int, width: int) -> nn.Module:
    """Its shapes without memory."""
    with torch.device("meta"):
        return created(model, height, width).eval()
