"""Small model files, images and trainings, made on the spot."""

import io
import signal
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from PIL import Image
from pytorch_lightning import Callback

from datamodule.digits import Digits
from datamodule.preprocessing import Preprocessing
from models import training
from models.callbacks import the
from models.checkpoint import Checkpoints
from models.model_file import Manifest, save_model, weights_sha256
from models.run import Run
from models.settings import TrainerSettings
from utils.build import build, settings
from utils.configuration import plain
from utils.overrides import CONFIGURATION

TRAINING = (
    "models.num_filters=8", "models.dense_width=32", "trainer.speed=fp32", "trainer.threads=1", "trainer.max_epochs=6",
    "trainer.accelerator=cpu", "trainer.progress=false", "logger.tensorboard=null", "datamodule/augment=none",
)  # fmt: skip
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
def fitted(tmp_path):
    """Trains: (run's name, overrides, the data's class, further callback, checkpoint) → (run, trainer, task, data)."""

    def fit(name, *overrides, source=Digits, watcher=None, checkpoint=None):
        with initialize_config_dir(str(CONFIGURATION), version_base="1.3"):
            own = [*TRAINING, f"datamodule.cache_dir={tmp_path / 'cache'}", *overrides]
            config = plain(compose("configs", overrides=own))
        config["datamodule"].pop("_target_")
        training.prepare_torch(settings(TrainerSettings, config["trainer"]))
        data = source(**build(config["datamodule"]))
        data.prepare()
        run = Run(tmp_path / name)
        task = training.make_task(config, data)
        trainer = training.make_trainer(config, run, task, data)
        trainer.callbacks += [watcher] if watcher else []
        trainer.fit(task, data, ckpt_path=checkpoint, weights_only=True)
        return run, trainer, task, data

    return fit


@pytest.fixture
def stopping():
    """A callback that asks the run to stop, as a signal would, after so many steps."""

    class Stopping(Callback):
        def __init__(self, step):
            self.step = step

        def on_train_batch_start(self, trainer, *_):
            if trainer.global_step == self.step:
                the(Checkpoints, trainer).received = signal.SIGTERM

    return Stopping


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
