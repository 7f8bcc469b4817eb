"""A model as one ONNX file that takes images as they are decoded, checked by running it."""

import logging
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from datamodule.preprocessing import Preprocessing
from utils.log import first_line

log = logging.getLogger(__name__)

INSTALL = "pip install -r requirements-onnx.txt"
KEY = "evergreen"  # of the manifest in the file's metadata
TOLERANCE = 1e-3  # of the largest logit: other kernels add in another order


class FromPixels(nn.Module):
    """image (N, H, W, C) uint8, fitted to the model's size → logits; the normalisation is part of it."""

    mean: Tensor
    std: Tensor

    def __init__(self, net: nn.Module, shape: Preprocessing) -> None:
        super().__init__()
        self.net = net
        for name in ("mean", "std"):
            self.register_buffer(name, torch.tensor(getattr(shape, name)).view(1, -1, 1, 1))

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.net((image.permute(0, 3, 1, 2).float() / 255 - self.mean) / self.std)
        return logits


def require_onnx() -> None:
    """Raises ValueError, with the command that installs them, where a package for the export is missing."""
    missing = [name for name in ("onnx", "onnxscript") if find_spec(name) is None]
    if missing:
        raise ValueError(f"tester.export=onnx needs {' and '.join(missing)}: {INSTALL}")


def export_onnx(net: nn.Module, shape: Preprocessing, manifest: str, file: Path) -> float | None:
    """Writes the file whole; answers the largest difference from PyTorch, None where it could not be run.

    Input `image` (batch, height, width, channels) uint8, output `logits` (batch, …) float32. manifest: json, kept in
    the metadata under `evergreen`. Raises ValueError for a network that cannot be exported or answers otherwise.
    """
    wrapped = FromPixels(net.cpu(), shape).eval()
    pixels = np.random.default_rng(0).integers(0, 256, (3, *shape.sides), np.uint8)
    program = _exported(wrapped, torch.from_numpy(pixels))
    program.model.metadata_props[KEY] = manifest
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f"{file.name}.part")
    program.save(part, external_data=False)
    difference = _difference(part, wrapped, pixels)
    part.replace(file)
    return difference


def _exported(net: nn.Module, example: Tensor) -> Any:
    batch = torch.export.Dim("batch", min=1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the exporter about itself
            return torch.onnx.export(
                net, (example,), dynamo=True, verbose=False, input_names=["image"], output_names=["logits"],
                dynamic_shapes={"image": {0: batch}},
            )  # fmt: skip
    except torch.onnx.OnnxExporterError as error:
        raise ValueError(f"this network cannot be exported to ONNX: {first_line(error)}") from error


def _difference(file: Path, net: nn.Module, pixels: NDArray[np.uint8]) -> float | None:
    """Of the logits, over batches of one and of several."""
    if find_spec("onnxruntime") is None:
        log.warning("%s was not run to check it: that needs onnxruntime: %s", file.name.removesuffix(".part"), INSTALL)
        return None
    import onnxruntime

    session = onnxruntime.InferenceSession(file.read_bytes(), providers=["CPUExecutionProvider"])
    largest = 0.0
    for part in (pixels, pixels[:1]):
        with torch.inference_mode():
            expected = net(torch.from_numpy(part)).numpy()
        gap = float(np.abs(session.run(["logits"], {"image": part})[0] - expected).max())
        if gap > TOLERANCE * max(1.0, float(np.abs(expected).max())):
            file.unlink()
            raise ValueError(f"the ONNX file answers otherwise than PyTorch, by up to {gap:.3g}: it was not kept")
        largest = max(largest, gap)
    return largest
