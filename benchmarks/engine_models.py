"""Networks that benchmarks.engines measures: really trained, if briefly, so that the gate has something to guard.

Two classes of CIFAR-10 (automobile, frog), scaled up to 224 px: what is learnt from scratch within minutes on two cores
at an accuracy that a deployed model has. Most steps see smaller pictures, the last ones those of 224 px. A model that
is already there is not trained again.
"""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from timm.models import VisionTransformer
from torch import Tensor, nn
from torch.nn import functional

from datamodule.decode import Pixels
from datamodule.preprocessing import Preprocessing
from models.model_file import Manifest, save_model, weights_sha256
from utils.build import build

ARCHITECTURES = ("resnet18", "resnet50", "mobilenetv3_small_100", "efficientnet_b0", "vit_tiny_patch16_224",
                 "convnext_atto")  # fmt: skip
CLASSES = ("automobile", "frog")
SIZE = 224
SHAPE = Preprocessing(SIZE, SIZE, 3, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
# Side in pixels, share of the time, pictures in a batch; of the slow networks fewer steps fit into the same time.
PHASES = ((64, 0.55, 64), (128, 0.15, 32), (224, 0.30, 16))
LR, WEIGHT_DECAY, WARM_UP = 1e-3, 0.05, 20


def pictures(data: Path, split: str, each: int) -> tuple[Pixels, Tensor]:
    """(N, 32, 32, 3) and class numbers (N,): the first `each` files of each class, classes in turn."""
    files = [sorted((data / split / name).iterdir())[:each] for name in CLASSES]
    mixed = [file for row in zip(*files, strict=True) for file in row]
    pixels = np.stack([np.asarray(Image.open(file).convert("RGB")) for file in mixed])
    return pixels, torch.arange(len(mixed)) % len(CLASSES)


def trained(architecture: str, data: Path, folder: Path, seconds: float) -> Path:
    """The model's folder; trains for so many CPU-seconds where it is not there yet."""
    place = folder / architecture
    if (place / "model.json").is_file():
        return place
    torch.manual_seed(0)
    node = {"_target_": "models.backbones.build_timm", "architecture": architecture, "num_classes": len(CLASSES),
            "channels": 3, "height": SIZE, "width": SIZE, "pretrained": False, "stem": "imagenet"}  # fmt: skip
    net = build(node, **({"dynamic_img_size": True} if architecture.startswith("vit") else {}))
    _fit(net, *pictures(data, "train", 5000), seconds)
    save_model(place, net, _manifest(node, net))
    return place


def _fit(net: nn.Module, pixels: Pixels, target: Tensor, seconds: float) -> None:
    rng, image = torch.Generator().manual_seed(0), torch.from_numpy(pixels).permute(0, 3, 1, 2)
    layout = torch.contiguous_format if isinstance(net.net, VisionTransformer) else torch.channels_last
    net.to(memory_format=layout).train()
    optimizer = torch.optim.AdamW(net.parameters(), LR, weight_decay=WEIGHT_DECAY)
    for side, share, batch in PHASES:
        _phase(net, optimizer, Drawn(image, target, rng, layout), side, batch, share * seconds)
    net.to(memory_format=torch.contiguous_format)


@dataclass(frozen=True)
class Drawn:
    """What batches are drawn from, at random and now and then mirrored."""

    image: Tensor
    target: Tensor
    rng: torch.Generator
    layout: torch.memory_format

    def batch(self, size: int, side: int) -> tuple[Tensor, Tensor]:
        rows = torch.randint(len(self.image), (size,), generator=self.rng)
        mirrored = bool(torch.rand((), generator=self.rng) < 0.5)
        image = self.image[rows].flip(3) if mirrored else self.image[rows]
        return scaled(image, side).contiguous(memory_format=self.layout), self.target[rows]


def _phase(
    net: nn.Module, optimizer: torch.optim.Optimizer, drawn: Drawn, side: int, size: int, seconds: float
) -> None:
    """Each phase warms up and decays to nothing."""
    began, step = time.process_time(), 0
    while (done := (time.process_time() - began) / seconds) < 1:
        step += 1
        for group in optimizer.param_groups:
            group["lr"] = LR * min(1.0, step / WARM_UP) * (1 - done)
        image, target = drawn.batch(size, side)
        with torch.autocast("cpu", torch.bfloat16):
            loss = functional.cross_entropy(net(image).float(), target)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
    print(f"  {side} px: {step} steps of {size}, loss {loss.item():.3f}", flush=True)


def scaled(image: Tensor, side: int) -> Tensor:
    mean, std = (torch.tensor(value).view(1, 3, 1, 1) for value in (SHAPE.mean, SHAPE.std))
    large = functional.interpolate(image.float(), (side, side), mode="bilinear").round()
    return (large / 255 - mean) / std


def _manifest(node: dict[str, object], net: nn.Module) -> Manifest:
    return Manifest(
        task="classification",
        architecture=node,
        classes=list(CLASSES),
        preprocessing={"height": SIZE, "width": SIZE, "channels": 3, "mean": SHAPE.mean, "std": SHAPE.std},
        weights_sha256=weights_sha256(net.state_dict()),
        parameters=sum(parameter.numel() for parameter in net.parameters()),
        metrics={},
        data_digest="",
        configuration_digest="",
    )


def evaluation(data: Path, split: str, images: int) -> tuple[Pixels, Tensor]:
    """(N, 224, 224, 3) as the models see them, and class numbers (N,)."""
    pixels, target = pictures(data, split, images // len(CLASSES))
    return np.stack([SHAPE.fit(one) for one in pixels]), target
