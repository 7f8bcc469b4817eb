"""What benchmarks.serving asks and is asked: pictures like a camera's, and a store whose live model knows them."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save
from torch import nn

from datamodule.decode import Pixels
from datamodule.preprocessing import Preprocessing
from datamodule.transforms import Normalize
from models.model_file import Manifest, save_model, weights_sha256
from serving.delivery import GOLDEN, PACKAGE, package_of
from serving.package import Package
from serving.parts import assemble
from serving.preparation import engine_of, folder_of
from serving.promotion import Better
from serving.settings import ServingSettings
from serving.verification import verify
from serving.version import code_version
from utils.build import build

WIDTH, HEIGHT, QUALITY, GRAIN = 500, 375, 92, 14  # a grain that makes files of some 100 kB, as those of photos are
PICTURES, CLASSES, SIZE = 32, 1000, 224
SHAPE = Preprocessing(SIZE, SIZE, 3, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), crop=0.875)


def pictures(data: Path) -> list[bytes]:
    """JPEG files of 500 x 375 pixels: CIFAR's test pictures scaled up, with grain that decodes like detail."""
    files = sorted((data / "test").glob("*/*"))
    rng = np.random.default_rng(0)
    return [_camera(Image.open(file), rng) for file in files[:: max(1, len(files) // PICTURES)][:PICTURES]]


def _camera(small: Image.Image, rng: np.random.Generator) -> bytes:
    large = np.asarray(small.convert("RGB").resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC), np.float32)
    noisy = np.clip(large + rng.normal(0, GRAIN, large.shape), 0, 255).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noisy).save(stream, "JPEG", quality=QUALITY)
    return stream.getvalue()


def store(root: Path, photos: list[bytes], kind: str) -> Path:
    """A store below `root` with a resnet18 live as `main` and its OpenVINO engine made; answers the model's folder."""
    model = root / "model"
    if not (model / PACKAGE).is_file():
        _write_model(model, np.stack([SHAPE.fit(SHAPE.read(one)) for one in photos]))
    parts = assemble(ServingSettings(root=str(root / "store"), local_workers=0), Better(), code_version(), verify)
    parts.tokens.first(root / "store" / "tokens")
    if not parts.store.every("main"):
        package = Package.model_validate(package_of(model, "main", parts.store.blobs.put_file))
        number, verdict = parts.completion.register(package, "the benchmark")
        print(f"model {number}: {verdict.why}", flush=True)
    folder = folder_of(
        parts.store.root, parts.store.blobs, parts.store.files(parts.deployments.get("main")["model_id"])
    )
    parts.database.close()
    engine_of(folder, {"_target_": "serving.engines.openvino.OpenVino", "type": kind})
    return folder


@torch.inference_mode()
def _write_model(folder: Path, pixels: Pixels) -> None:
    """Random weights under a last layer that tells the pictures apart, so that engines can be compared on them."""
    torch.manual_seed(0)
    node = {"_target_": "models.backbones.build_timm", "architecture": "resnet18", "num_classes": CLASSES,
            "channels": 3, "height": SIZE, "width": SIZE, "pretrained": False, "stem": "imagenet"}  # fmt: skip
    net = build(node)
    image = Normalize(SHAPE.mean, SHAPE.std)(torch.from_numpy(pixels).permute(0, 3, 1, 2))
    _calibrate(net, image)
    logits = net.eval()(image).float()
    save_model(folder, net, _manifest(node, net))
    (folder / GOLDEN).write_bytes(save({"pixels": torch.from_numpy(pixels), "logits": logits}))
    (folder / "full_configurations.yaml").write_text("{}\n")
    told: dict[str, Any] = {"measurement": None, "split": {}, "code_version": code_version()}
    (folder / PACKAGE).write_text(json.dumps(told))


def _calibrate(net: Any, image: torch.Tensor) -> None:
    """Norms see the pictures once; the first rows of the last layer are the pictures' own directions."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # a plain average
    net.train()(image)
    inner = net.eval().net
    features = inner.forward_head(inner.forward_features(image), pre_logits=True)
    centred = features - features.mean(0)
    directions = torch.linalg.pinv(centred).T
    inner.fc.weight[: len(image)] = 5 * directions
    inner.fc.bias[: len(image)] = -5 * (directions @ features.mean(0))


def _manifest(node: dict[str, object], net: nn.Module) -> Manifest:
    preprocessing = {"height": SIZE, "width": SIZE, "channels": 3, "mean": SHAPE.mean, "std": SHAPE.std,
                     "crop": SHAPE.crop}  # fmt: skip
    return Manifest(
        task="classification",
        architecture=node,
        classes=[f"class {number}" for number in range(CLASSES)],
        preprocessing=preprocessing,
        weights_sha256=weights_sha256(net.state_dict()),
        parameters=sum(parameter.numel() for parameter in net.parameters()),
        metrics={},
        data_digest="",
        configuration_digest="",
    )
