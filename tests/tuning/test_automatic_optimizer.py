"""Optimizer and rate within a share of the time, on real digits."""

import math
import time

import pytest
import torch

from models.training import make_task
from tuning.auto_optimizer import TooShort
from tuning.auto_settings import AutoSettings, SearchSettings
from tuning.automatic_optimizer import kept, searched, unsearched
from tuning.course import Course
from tuning.rate_finder import find_rate
from utils.build import build
from utils.configuration import composed, option

LITTLE = ("trainer.accelerator=cpu", "trainer.speed=fp32", "trainer.threads=1", "trainer.max_epochs=9999",
          "datamodule.n_samples=200", "models.num_filters=4", "models.blocks=1")  # fmt: skip
SGD = ("optimizers=sgd", "optimizers.lr=auto")


@pytest.fixture
def course(places):
    def make(*overrides: str) -> Course:
        config = composed([*LITTLE, *places, *overrides])
        data = build(config["datamodule"], seed=0)
        data.prepare()
        return Course(config, make_task(config, data), data, torch.device("cpu"))

    return make


@pytest.mark.parametrize(
    ("line", "left"),
    [
        (("optimizers.option=auto", "seed=1"), {"seed"}),
        ((*SGD, "seed=1"), {"seed"}),
        (("optimizers=sgd", "optimizers.lr=0.1"), {"optimizers", "optimizers.lr"}),
        (("datamodule.batch_size=auto",), set()),
        (("datamodule.batch_size=32", "datamodule/augment=auto"), {"datamodule.batch_size", "datamodule/augment"}),
    ],
)
def test_a_key_is_kept_unless_its_value_is_auto(line, left):
    assert kept(composed(list(line)), [override.partition("=")[0] for override in line]) == left


def test_what_is_given_for_the_search_counts(course):
    line = ("optimizers.option=auto", "optimizers.candidates=[sgd]", "optimizers.max_step_count=8")
    found = searched(course(*line), step_s=0.005, seconds=3600.0)
    assert {one.arm.name for one in found.tried} == {"sgd"} and found.ranked[0].curve.steps == 8
    assert math.isfinite(found.winner.node["lr"]) and found.winner.node["option"] is None


def test_the_time_ends_a_search_though_no_arm_is_done(course):
    endless = ("optimizers.search.rule=lowest_train_loss", "optimizers.max_step_count=999999")
    line = ("optimizers.option=auto", "optimizers.candidates=[sgd]", *endless)
    assert searched(course(*line), step_s=0.005, seconds=1.0) is None


def test_a_range_test_is_part_of_the_time_of_a_search(course):
    slow = course(*SGD)
    slow.step = lambda *given: time.sleep(0.05) or Course.step(slow, *given)
    given = AutoSettings(max_training_time="00:00:00:01")
    with pytest.raises(TooShort, match="over before the range test is"):
        find_rate(slow, slow.config["optimizers"], given, SearchSettings())
    assert searched(slow, step_s=0.001, seconds=1.9) is None


def test_a_range_test_ends_with_the_time_of_its_course(course):
    late, steps = course(*SGD), []
    late.deadline, late.step = time.monotonic(), lambda *given: steps.append(1) or Course.step(late, *given)
    with pytest.raises(TooShort):
        find_rate(late, late.config["optimizers"], AutoSettings(), SearchSettings())
    assert len(steps) == 1


def test_without_the_time_for_it_there_is_no_search(course):
    assert searched(course(*SGD), step_s=0.02, seconds=2.9) is None  # a range test takes 100 steps
    assert searched(course("optimizers.option=auto"), step_s=0.1, seconds=4.9) is None


def test_what_is_not_searched_for_is_a_complete_choice():
    rate = unsearched(composed(list(SGD))["optimizers"])
    low, high = rate.node["lr_range"]
    assert rate.name == "sgd" and rate.lr == pytest.approx((low * high) ** 0.5, rel=0.05) == rate.node["lr"]
    either = unsearched(composed(["optimizers.option=auto", "optimizers.layer_decay=0.5"])["optimizers"])
    assert (either.name, either.node["option"], either.node["layer_decay"]) == ("muon", None, 0.5)
    assert either.lr == option("optimizers", "muon")["lr"]
    asked = unsearched(composed(["optimizers.option=auto", "optimizers.candidates=[sgd]"])["optimizers"])
    assert asked.name == "sgd"
