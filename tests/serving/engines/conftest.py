"""A small model file that was really trained, and the digits it was trained on."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch.nn import functional

from datamodule.preprocessing import Preprocessing
from models.model_file import Manifest, save_model, weights_sha256
from serving.engines.source import source_of
from utils.build import build

SHAPE = Preprocessing(8, 8, 1, (0.3,), (0.35,))
NODE = {"_target_": "models.simple_cnn.SimpleCnn", "num_filters": 8, "blocks": 1, "dense_width": 16, "num_classes": 10,
        "channels": 1, "height": 8, "width": 8}  # fmt: skip


@pytest.fixture(scope="session")
def digits():
    """(N, 8, 8, 1) pixels and class numbers (N,)."""
    found = load_digits()
    return (found.images[..., None] * 15).astype(np.uint8), found.target


@pytest.fixture(scope="session")
def model(tmp_path_factory, digits) -> Path:
    """A model folder: a small network after a few seconds of training."""
    torch.manual_seed(0)
    net, (pixels, target) = build(NODE), digits
    image = (torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255 - 0.3) / 0.35
    optimizer = torch.optim.AdamW(net.parameters(), 0.01)
    for step in range(120):
        rows = torch.arange(step * 64, step * 64 + 64) % 1500
        functional.cross_entropy(net.train()(image[rows]), torch.from_numpy(target)[rows]).backward()
        optimizer.step()
        optimizer.zero_grad()
    folder = tmp_path_factory.mktemp("model")
    write_model(folder, net)
    return folder


def write_model(folder: Path, net) -> None:
    facts = {"weights_sha256": weights_sha256(net.state_dict()), "parameters": 0, "metrics": {}, "data_digest": ""}
    classes = [str(number) for number in range(10)]
    save_model(folder, net, Manifest(task="classification", architecture=NODE, classes=classes, **facts,
                                     preprocessing=asdict(SHAPE), configuration_digest=""))  # fmt: skip


@pytest.fixture(scope="session")
def source(model, digits):
    """With images to calibrate with; conversions are shared by all tests of the session."""
    return source_of(model, calibration=digits[0][:100])
