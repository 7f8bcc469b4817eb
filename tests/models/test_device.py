"""Trainings on a GPU that is only pretended: whatever mixes tensors of two devices fails here as it would there."""

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from PIL import Image
from torch import nn

from active.look import draws_of
from datamodule.digits import Digits
from models import training
from models.run import Run
from tests.pretended_cuda import CUDA, Dispatch, pretend
from tuning.choice import Choice
from utils.configuration import plain
from utils.overrides import CONFIGURATION

SMALL = (
    "datamodule.batch_size=16", "trainer.max_epochs=1", "trainer.threads=1", "trainer.report=false",
    "trainer.progress=false", "trainer.log_every_n_steps=1", "logger.tensorboard=null",
)  # fmt: skip
KINDS = {
    "classes that count differently": [
        "datamodule.n_samples=100", "models.num_filters=4", "task.class_weights=balanced",
        "callback=[ema,label_errors]",
    ],
    "chosen on the way": [
        "datamodule.n_samples=100", "models.num_filters=4", "datamodule.batch_size=auto", "optimizers.option=auto",
        "optimizers.candidates=[adamw,muon]", "optimizers.max_step_count=8",
    ],
    "the fast network": [
        "datamodule.n_samples=100", "models=fast_net", "models.widths=[8]", "optimizers=muon_sgd",
        "callback=hard_examples", "trainer.max_epochs=2",
    ],
    "several labels": ["datamodule=csv", "datamodule.file=FOLDER/labels.csv", "task=multilabel"],
    "two values": [
        "datamodule=csv", "datamodule.file=FOLDER/values.csv", "datamodule.label_column=[a,b]", "task=regression",
    ],
    "two heads": [
        "datamodule=csv", "datamodule.file=FOLDER/values.csv", "task.num_classes={c: 3, d: 2}",
        "datamodule/augment=mix",
    ],
    "masks": [
        "datamodule=masks", "datamodule.root=FOLDER", "datamodule.images=seen", "task=segmentation",
        "models.architecture=linknet", "models.encoder=test_efficientnet", "models.pretrained=false",
        "models.encoder_depth=3",
    ],
}  # fmt: skip


@pytest.fixture
def pictures(tmp_path):
    """60 of noise, with a label or two, two values, two kinds of class and a mask each."""
    rng = np.random.default_rng(0)
    labels, values = ["path,label"], ["path,a,b,c,d"]
    for place in ("seen", "masks"):
        (tmp_path / place).mkdir()
    for number in range(60):
        Image.fromarray(rng.integers(0, 255, (32, 32, 3), np.uint8)).save(tmp_path / f"seen/{number}.png")
        Image.fromarray(rng.integers(0, 3, (32, 32), np.uint8)).save(tmp_path / f"masks/{number}.png")
        labels.append(f"seen/{number}.png,{('p', 'q', 'p|q')[number % 3]}")
        values.append(f"seen/{number}.png,{rng.normal():.3f},{100 * rng.normal():.2f},{number % 3},{number % 2}")
    (tmp_path / "labels.csv").write_text("\n".join(labels))
    (tmp_path / "values.csv").write_text("\n".join(values))
    return tmp_path


@pytest.mark.filterwarnings("ignore:for .* copying from a non-meta parameter:UserWarning")  # torch takes them for such
@pytest.mark.parametrize("kind", KINDS)
def test_a_training_keeps_to_one_device(pictures, monkeypatch, kind):
    line = [text.replace("FOLDER", str(pictures)) for text in KINDS[kind]]
    with initialize_config_dir(str(CONFIGURATION), version_base="1.3"):
        config = plain(compose("configs", [f"datamodule.cache_dir={pictures / 'cache'}", *SMALL, *line]))
    monkeypatch.setattr(
        "models.speed.candidates", lambda _: ["fp32", "fp32+channels_last"]
    )  # autocast is not pretended
    pretend(monkeypatch)
    with Dispatch():
        outcome = training.train(config, Run(pictures / "run"), parts=training.Parts(choose=Choice()))
    assert outcome.run.folder.joinpath("model.safetensors").is_file()


def test_draws_of_dropout_come_from_the_seed_on_every_device(tmp_path, monkeypatch):
    data = Digits(cache_dir=str(tmp_path), n_samples=40, batch_size=16)
    data.prepare()
    net = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(64, 3))
    seeds = pretend(monkeypatch)
    with Dispatch():
        draws_of(net.to(CUDA), data, data.inventory.rows("val"), count=2, seed=5)
        draws_of(net, data, data.inventory.rows("val"), count=2, seed=5)
    assert len(seeds) == 4 and seeds[:2] == seeds[2:] and seeds[0] != seeds[1]


def test_what_is_on_two_devices_is_noticed(monkeypatch):
    pretend(monkeypatch)
    with Dispatch(), pytest.raises(RuntimeError, match="on two devices"):
        torch.ones(3, device=CUDA) + torch.ones(3)
