"""Small models for benchmarks.serving_reload: good ones that differ, and six ways to be none."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save

from datamodule.transforms import Normalize
from models.model_file import weights_sha256
from serving.client import Client, Refused
from serving.version import code_version
from utils.build import build

SIDE, CLASSES = 32, 10
MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
NODE = {"_target_": "models.simple_cnn.SimpleCnn", "num_classes": CLASSES, "channels": 3, "height": SIDE, "width": SIDE,
        "num_filters": 8, "dense_width": 16}  # fmt: skip
TOO_LARGE = 1 << 50  # bytes

Package = dict[str, Any]
Put = Callable[[bytes], str]  # brings a file's content to the store; answers its sha256


@torch.inference_mode()
def good(seed: int, put: Put) -> Package:
    """A network with random weights of its own, and what it answers a golden batch."""
    torch.manual_seed(seed)
    net = build(NODE).eval()
    pixels = torch.randint(0, 256, (16, SIDE, SIDE, 3), dtype=torch.uint8)
    logits = net(Normalize(MEAN, STD)(pixels.permute(0, 3, 1, 2))).float()
    weights = {name: value.contiguous() for name, value in net.state_dict().items()}
    golden = put(save({"pixels": pixels, "logits": logits}))
    return _package(put(save(weights)), _manifest(weights), golden)


def _manifest(weights: dict[str, torch.Tensor], **changes: Any) -> dict[str, Any]:
    return {
        "task": "classification",
        "architecture": NODE,
        "classes": [str(number) for number in range(CLASSES)],
        "preprocessing": {"height": SIDE, "width": SIDE, "channels": 3, "mean": MEAN, "std": STD},
        "weights_sha256": weights_sha256(weights),
        "parameters": sum(value.numel() for name, value in weights.items() if name.endswith(("weight", "bias"))),
        "metrics": {},
        "data_digest": "",
        "configuration_digest": "",
        **changes,
    }


def _package(model: str, manifest: dict[str, Any], golden: str | None) -> Package:
    told = {"model": model, "manifest": json.dumps(manifest), "golden": golden, "code_version": code_version()}
    return {"name": "main", **told}


def truncated(content: bytes, put: Put) -> Package:
    return _package(put(content[:-7]), _manifest(load(content)), None)


def of_another_shape(content: bytes, put: Put) -> Package:
    """Sound, and not what its architecture has."""
    weights = load(content)
    name = next(name for name, value in weights.items() if value.ndim == 4)
    weights[name] = weights[name][:, :, :1].contiguous()
    return _package(put(save(weights)), _manifest(weights, parameters=1), None)


def not_a_number(content: bytes, put: Put) -> Package:
    weights = load(content)
    weights[next(name for name, value in weights.items() if value.ndim == 4)].view(-1)[3] = torch.nan
    return _package(put(save(weights)), _manifest(weights), None)


def of_another_hash(content: bytes, put: Put) -> Package:
    return _package(put(content), _manifest(load(content), weights_sha256="0" * 64), None)


def of_other_classes(content: bytes, put: Put) -> Package:
    """One class less than it answers; a golden batch shows it."""
    weights = load(content)
    pixels = torch.zeros((2, SIDE, SIDE, 3), dtype=torch.uint8)
    golden = put(save({"pixels": pixels, "logits": torch.zeros(2, CLASSES - 1)}))
    return _package(put(content), _manifest(weights, classes=[str(number) for number in range(CLASSES - 1)]), golden)


SPOILED: tuple[Callable[[bytes, Put], Package], ...] = (
    truncated, of_another_shape, not_a_number, of_another_hash, of_other_classes,
)  # fmt: skip


def is_refused(client: Client, put: Put, content: bytes, number: int) -> bool:
    """Sends the next kind of bad candidate, and tries to set it live where it got as far as that.

    content: the weights file of a good one, which it is made from.
    """
    kind = number % (len(SPOILED) + 1)
    if kind == len(SPOILED):
        return _too_large_is_refused(client)
    package = SPOILED[kind](content, put)
    try:
        answer = client.post("/api/models", package, patient=300.0)
        client.post("/api/deployments", {"model": answer["model"]}, patient=300.0)
    except Refused as refusal:
        return refusal.status == 422
    return False


def _too_large_is_refused(client: Client) -> bool:
    """It is refused by the length that it announces."""
    headers = {"Upload-Offset": "0", "Upload-Length": str(TOO_LARGE)}
    answer = client.http.patch(f"/api/blobs/{hashlib.sha256(b'large').hexdigest()}", content=b"large", headers=headers)
    return answer.status_code == 413


def putter(client: Client, folder: Path) -> Put:
    """Sends contents by way of files."""

    def put(content: bytes) -> str:
        file = folder / hashlib.sha256(content).hexdigest()
        file.write_bytes(content)
        return client.put(file)

    return put
