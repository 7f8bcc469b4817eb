"""Active learning inside one fit."""

import pytest
import torch

from active.callbacks import ActiveLearning
from active.strategies.margin import Margin
from datamodule.digits import Digits
from datamodule.pool import PoolData
from models.run import create
from models.training import Parts, train
from tests.test_structure import composed


@pytest.fixture
def pool(tmp_path):
    data = PoolData(Digits(cache_dir=str(tmp_path / "cache"), n_samples=300, workers=0))
    data.prepare()
    return data


def fitted(pool, tmp_path, epochs=6):
    small = ["models.num_filters=4", "models.dense_width=16", "trainer.speed=fp32", "trainer.threads=1", "logger={}",
             "trainer.log_every_n_steps=1"]  # fmt: skip
    config = composed(*small, f"trainer.max_epochs={epochs}", "schedulers=constant", f"logs={tmp_path / 'logs'}")
    config["trainer"]["progress"] = False
    rows = pool.candidates[:10]
    first = dict(zip(pool.inventory.sha256[rows], pool.known[rows], strict=True))
    active = ActiveLearning(Margin(), lambda asked: list(pool.known[asked]), budget=22, batch=5, every_n_epochs=2)
    data = pool.labelled(first)
    outcome = train(config, create(str(tmp_path / "logs"), "default", None, False), parts=Parts(data, (active,)))
    return active, data, outcome


def test_more_is_labelled_every_few_epochs_up_to_the_budget_and_trained_on(pool, tmp_path):
    active, data, outcome = fitted(pool, tmp_path, 8)
    assert [epoch for epoch, _ in active.queries] == [2, 4, 6] and len(active.labels) == 22
    assert data.sizes["train"] == outcome.images["train"] == 22
    truth = dict(zip(pool.inventory.sha256, pool.known, strict=True))
    assert all(truth[sha] == name for sha, name in active.labels.items())


def test_what_is_labelled_is_in_the_checkpoint(pool, tmp_path):
    active, _, outcome = fitted(pool, tmp_path, 4)
    kept = torch.load(outcome.run.last, map_location="cpu", weights_only=True)["callbacks"]["ActiveLearning"]
    assert len(kept["labels"]) in (15, 20) and set(kept["labels"]) <= set(active.labels)
    again = ActiveLearning(Margin(), lambda asked: pytest.fail("asked"), budget=22)
    again._data = pool.labelled({})
    again.load_state_dict(kept)
    assert again._data.sizes["train"] == len(kept["labels"])


def test_plain_data_are_refused_with_the_way_out():
    class Trainer:
        datamodule = object()

    with pytest.raises(ValueError, match="needs a datamodule.pool.PoolData, got object: wrap the source"):
        ActiveLearning(Margin(), lambda rows: [], budget=5).setup(Trainer(), None, "fit")
