"""A training that cannot begin, or does not fit into memory."""

import pytest
import torch
from hydra import compose, initialize_config_dir
from torch import nn

from datamodule.digits import Digits
from models import training
from models.regression import Regression
from models.run import Run, create
from models.settings import TrainerSettings
from utils.configuration import plain
from utils.overrides import CONFIGURATION


@pytest.fixture
def config():
    with initialize_config_dir(str(CONFIGURATION), version_base="1.3"):
        return plain(compose("configs"))


@pytest.mark.parametrize("devices", [0, "abc", [300]])
def test_devices_that_are_not_there_are_refused_by_key(devices):
    with pytest.raises(ValueError, match=r"trainer\.devices=.* cannot be had here"):
        training._refuse_missing_devices(TrainerSettings(accelerator="cpu", devices=devices))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused_by_key():
    with pytest.raises(ValueError, match=r"trainer\.accelerator=gpu.* cannot be had here"):
        training._refuse_missing_devices(TrainerSettings(accelerator="gpu"))


@pytest.mark.parametrize("given", [64, "auto"])
def test_half_the_batch_reaches_data_that_were_handed_in(config, tmp_path, monkeypatch, given):
    config["datamodule"]["batch_size"] = given
    data = Digits(cache_dir=str(tmp_path), n_samples=200)
    sizes = []

    def too_large(data):
        sizes.append(data.batch_size)
        raise MemoryError

    monkeypatch.setattr(Digits, "prepare", too_large)  # memory that runs out, at no cost
    with pytest.raises(MemoryError):
        training.train(config, Run(tmp_path / "run"), parts=training.Parts(data=data))
    assert sizes == [64, 32, 16, 8, 4, 2, 1]


def test_a_run_that_goes_on_with_too_little_memory_keeps_what_it_has(config, tmp_path, monkeypatch):
    def too_large(data):
        raise MemoryError

    monkeypatch.setattr(Digits, "prepare", too_large)
    with pytest.raises(ValueError, match="out of memory at datamodule.batch_size=64.*resume_weights_training="):
        training.train(config, Run(tmp_path / "run"), resume=True, parts=training.Parts(data=Digits()))


def test_what_a_checkpoint_cannot_go_on_with_is_refused_and_the_run_stays_as_it_is(config, tmp_path):
    config["trainer"] |= {"speed": "fp32", "threads": 1, "max_epochs": 2, "log_every_n_steps": 1}
    config["models"] |= {"num_filters": 4, "dense_width": 8}
    run = create(str(tmp_path / "logs"), "default", "first", force=False)

    def train(resume=True, height=None, **trainer):
        data = Digits(cache_dir=str(tmp_path), n_samples=200, height=height)
        training.train(
            config | {"trainer": config["trainer"] | trainer}, run, resume, training.Parts(data, sections=None)
        )

    train(resume=False)
    before = run.configuration_file.read_bytes(), run.last.read_bytes()
    for told, changed in {
        "trainer.max_epochs=1: first has begun epoch 2; give 2 or more": {"max_epochs": 1},
        "trainer.max_steps=3: first has trained 4 steps": {"max_steps": 3},
        r"last.ckpt does not fit this network: net.* there and .* here; .*resume_weights_training=": {"height": 32},
    }.items():
        with pytest.raises(ValueError, match=told):
            train(**changed)
        assert (run.configuration_file.read_bytes(), run.last.read_bytes()) == before
    train(max_epochs=3)
    assert run.read()["record"]["epochs"] == 3


def test_a_regression_does_not_start_from_the_checkpoint_of_a_classification(tmp_path):
    """Of an unfinished run, which has no model.json beside its checkpoints."""
    net, file = nn.Linear(2, 1), tmp_path / "last.ckpt"
    torch.save({"state_dict": {f"net.{name}": value for name, value in net.state_dict().items()}}, file)
    task = Regression(["R2Score"], 1, net, nn.MSELoss(), optimizer=None, schedule=None, seed=0)
    told = rf"{file} holds no regression's weights, this run is of task=regression; a regression starts from a"
    with pytest.raises(ValueError, match=told):
        training._start_from_weights({"resume_weights_training": str(file), "logs": ""}, task)


def test_what_cannot_be_repeated_exactly_is_refused_with_the_way_out(config, tmp_path):
    class Unpooled(nn.Module):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def forward(self, image):
            smaller, places = nn.functional.max_pool2d(image, 2, return_indices=True)
            return self.net(nn.functional.max_unpool2d(smaller, places, 2))

    made = training.make_net
    config["trainer"] |= {"speed": "fp32", "threads": 1, "max_epochs": 1, "log_every_n_steps": 1}
    with (
        pytest.MonkeyPatch.context() as patch,
        pytest.raises(ValueError, match="max_unpool.* here: set trainer.deterministic=warn$"),
    ):
        patch.setattr(training, "make_net", lambda *given: Unpooled(made(*given)))
        training.train(
            config, Run(tmp_path / "run"), parts=training.Parts(data=Digits(cache_dir=str(tmp_path), n_samples=200))
        )
