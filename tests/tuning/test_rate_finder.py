import math
import random
from itertools import combinations, pairwise
from pathlib import Path

import pytest
import yaml

from tuning.arms import Arm
from tuning.auto_optimizer import Found, Tried
from tuning.course import Curve, State
from tuning.rate_finder import RangeTest, between, longest_fall, neighbours

SMALL = ("datamodule.n_samples=400", "trainer.max_epochs=6", "trainer.speed=fp32", "trainer.threads=1",
         "models.num_filters=8", "models.blocks=2", "logger.tensorboard=null", "trainer.report=false")  # fmt: skip


def stored(folder: Path) -> dict:
    return yaml.safe_load((folder / "full_configurations.yaml").read_text())


@pytest.mark.parametrize("seed", range(20))
def test_no_falling_subsequence_is_longer(seed):
    values = random.Random(seed).choices(range(9), k=9)
    found = longest_fall(values)
    assert all(values[a] > values[b] and a < b for a, b in pairwise(found))
    for places in combinations(range(9), len(found) + 1):
        assert not all(values[a] > values[b] for a, b in pairwise(places))


def test_the_valley_lies_in_the_middle_of_the_long_fall_and_the_lowest_at_its_end():
    rates = tuple(10.0**power for power in range(-6, 2))
    tested = RangeTest(rates, (2.3, 2.4, 2.3, 2.0, 1.5, 0.9, 1.2, 3.0))
    assert tested.valley in rates[2:5] and tested.lowest == rates[5]


def found(losses, rounds=2):
    """What a search finds whose arms have these losses by rate in each round."""
    tried = [
        Tried(Arm("adamw", rate, {"name": "adamw", "lr": rate}), number, Curve(), loss / number)
        for number in range(1, rounds + 1)
        for rate, loss in losses.items()
    ]
    winner = min(tried, key=lambda one: one.loss).arm
    return Found(winner, State({}, {}), tuple(tried), "halving", 1.0)


def bowl(rates, best):
    return {rate: math.exp(math.log(rate / best) ** 2) for rate in rates}


@pytest.mark.parametrize("best", [0.0017, 0.002, 0.0025])
def test_the_rate_lies_between_those_that_trained_where_their_losses_point(best):
    chosen = between(found(bowl([0.0005, 0.001, 0.002, 0.004, 0.008], best)))
    assert chosen.lr == pytest.approx(best) and chosen.node == {"name": "adamw", "lr": chosen.lr}


def test_no_rate_lies_beyond_those_that_trained_and_what_blew_up_does_not_count():
    assert between(found(bowl([0.0005, 0.001, 0.002], 0.1))).lr == pytest.approx(0.002)
    assert between(found(bowl([0.001, 0.002, 0.004], 0.002) | {0.0041: math.inf})).lr == pytest.approx(0.002)


def test_losses_that_point_nowhere_leave_the_winner():
    assert between(found({0.001: 1.0})).lr == 0.001
    assert between(found({0.001: 1.2, 0.002: 1.2, 0.004: 1.0}, rounds=1)).lr == 0.004


@pytest.mark.parametrize(
    ("lr_range", "expected"),
    [
        (None, [0.0031, 0.0063, 0.013, 0.025, 0.05, 0.1, 0.2]),
        ([0.01, 0.06], [0.01, 0.015, 0.03, 0.06]),
        ([0.001, 0.002], [0.001, 0.002]),
    ],
)
def test_rates_around_the_lowest_loss_keep_to_a_given_range(lr_range, expected):
    assert neighbours(0.1, lr_range) == pytest.approx(expected, rel=0.05)


def test_the_found_rate_is_written_down_and_reproduces(command, tmp_path):
    auto = ("optimizers.lr=auto", "datamodule.batch_size=auto")
    done = command("train.py", *SMALL, *auto, "run_name=first")
    assert done.returncode == 0, done.stderr
    assert "rate finder: the valley lies at" in done.stdout and "batch size" in done.stdout
    config = stored(tmp_path / "logs/default/first")
    assert 1e-4 < config["optimizers"]["lr"] < 0.1 and config["datamodule"]["batch_size"] in (32, 64)
    again = command("train.py", "reproduce=first")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "rate finder" not in again.stdout
