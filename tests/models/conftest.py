"""Small model files and images, made on the spot."""

import io
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from datamodule.preprocessing import Preprocessing
from models.model_file import Manifest, save_model, weights_sha256
from utils.build import build

SMALL = {"_target_": "models.simple_cnn.SimpleCnn", "num_filters": 4, "blocks": 1, "dense_width": 8}


@pytest.fixture
def model_folder(tmp_path):
    """Writes a model file with random weights for 8 x 8 pixels in 3 channels; options are of its manifest."""

    def make(name="model", task="classification", classes=("ant", "bee", "cow"), seed=0, net=None, **options) -> Path:
        torch.manual_seed(seed)
        shape = Preprocessing(8, 8, 3, (0.5,) * 3, (0.25,) * 3)
        node = net or {**SMALL, "num_classes": len(classes), "channels": 3, "height": 8, "width": 8}
        made = build(node)
        facts = {"weights_sha256": weights_sha256(made.state_dict()), "parameters": 0, "metrics": {}}
        known = {"task": task, "architecture": node, "classes": list(classes), "preprocessing": asdict(shape), **facts}
        folder = tmp_path / name
        save_model(folder, made, Manifest(**known, data_digest="", configuration_digest="", **options))
        return folder

    return make


@pytest.fixture
def png():
    """A reproducible colour image's file: (seed, height, width) → bytes."""

    def encode(seed=0, height=10, width=12) -> bytes:
        pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        return file.getvalue()

    return encode


@pytest.fixture
def pictures(tmp_path, png):
    """Writes `count` images into folders a and b and gives their folder."""

    def write(count=10, name="images") -> Path:
        for number in range(count):
            file = tmp_path / name / "ab"[number % 2] / f"{number:04}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(png(number))
        return tmp_path / name

    return write
