"""Small real networks with their packages, and bundles whose answers can be told beforehand."""

import hashlib
import io
import json

import numpy as np
from PIL import Image

from datamodule.preprocessing import Preprocessing
from models.manifest import Manifest
from serving.answers import teller
from serving.bundle import Bundle
from serving.engines.engine import Engine, Facts
from tests.serving.material import VERSION

SHAPE = {"height": 8, "width": 8, "channels": 1, "mean": [0.3], "std": [0.35]}
NODE = {"_target_": "models.simple_cnn.SimpleCnn", "num_filters": 2, "blocks": 1, "dense_width": 8, "dropout": 0.0,
        "num_classes": 10, "channels": 1, "height": 8, "width": 8}  # fmt: skip


def png(seed: int = 0, size: tuple[int, int] = (8, 8), kind: str = "PNG") -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, size, np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind)
    return stream.getvalue()


def network_package(parts, seed: int = 0, name: str = "main", **changes) -> dict:
    """A network with random weights, its golden batch and manifest, the files among the store's blobs."""
    import torch
    from safetensors.torch import save

    from models.model_file import weights_sha256
    from utils.build import build

    torch.manual_seed(seed)
    net = build(NODE).eval()
    pixels = torch.randint(0, 256, (8, 8, 8, 1), dtype=torch.uint8)
    with torch.inference_mode():
        logits = net((pixels.permute(0, 3, 1, 2).float() / 255 - 0.3) / 0.35)
    weights = {key: value.contiguous() for key, value in net.state_dict().items()}
    manifest = {
        "task": "classification",
        "architecture": NODE,
        "classes": [f"class {number}" for number in range(10)],
        "preprocessing": SHAPE,
        "weights_sha256": weights_sha256(weights),
        "parameters": sum(own.numel() for own in net.parameters()),
        "metrics": {},
        "data_digest": "d" * 64,
        "configuration_digest": "c" * 64,
    }
    package = {
        "name": name,
        "model": _put(parts, save(weights)),
        "manifest": json.dumps(manifest),
        "golden": _put(parts, save({"pixels": pixels, "logits": logits})),
        "code_version": VERSION,
    }
    return package | changes


def _put(parts, content: bytes) -> str:
    sha256 = hashlib.sha256(content).hexdigest()
    parts.store.blobs.put(content, sha256)
    return sha256


class Brightness(Engine):
    """Class 1 the more, the brighter the image is; counts its batches. broken: raises for a black image."""

    def __init__(self, shape: Preprocessing, broken: bool = False) -> None:
        super().__init__(Facts("brightness", "fp32", "cpu", True), shape)
        self.batches: list[int] = []
        self.broken = broken

    def answer(self, pixels):
        self.batches.append(len(pixels))
        means = pixels.reshape(len(pixels), -1).mean(axis=1) / 255
        if self.broken and (means == 0).any():
            raise RuntimeError("the engine broke")
        return np.stack([np.where(means == 1, np.nan, -means), means], axis=1).astype(np.float32)


def brightness(generation: int = 1, size: int = 8, endpoint="main", role="live", number=None, broken=False) -> Bundle:
    shape = Preprocessing(size, size, 1, (0.5,), (0.5,))
    manifest = Manifest(
        task="classification",
        architecture={},
        classes=["dark", "bright"],
        preprocessing=vars(shape),
        weights_sha256="0" * 64,
        parameters=1,
        metrics={},
        data_digest="",
        configuration_digest="",
    )
    tell = teller(manifest, shape)
    engine = Brightness(shape, broken)
    number = generation if number is None else number
    return Bundle(endpoint, role, generation, number, number, f"{number:064d}", manifest, shape, engine, tell)


def grey(value: int, size: int = 8) -> bytes:
    """A PNG of one brightness."""
    stream = io.BytesIO()
    Image.new("L", (size, size), value).save(stream, "PNG")
    return stream.getvalue()
