"""The model of configurations and epochs that TPE takes turns with."""

import math
from random import Random

import pytest

from tuning.space import Parameter
from tuning.surrogate import place, promising

RATE = Parameter("rate", "float", 1e-4, 1e-1, log=True)
SHARE = Parameter("share", "float", 0.0, 1.0)
BATCH = Parameter("batch", "choice", choices=("128", "32", "64"))
NAME = Parameter("name", "choice", choices=("a", "b"))


def curve(share, epochs):
    """Low shares are better at first, high ones in the end."""
    return [(epoch, 10.0 / epoch + share * (1 - epoch / 4)) for epoch in range(1, epochs + 1)]


def test_a_configuration_is_a_point_and_choices_of_numbers_lie_in_their_order():
    assert place([RATE, BATCH], {"rate": 1e-4, "batch": "64"}) == [0.0, 0.5]
    assert place([BATCH], {"batch": "128"}) == [1.0] and place([SHARE], {}) == [0.5]
    assert place([NAME], {"name": "b"}) == pytest.approx([0.0, 0.5**0.5])


def test_what_is_better_at_the_end_is_preferred_to_what_is_better_at_first():
    shares = [number / 10 for number in range(11)]
    told = [({"share": share}, curve(share, 16 if number % 2 else 1)) for number, share in enumerate(shares)]
    found = [promising([SHARE], told, Random(seed))["share"] for seed in range(10)]
    assert sorted(found)[2] > 0.6


def test_what_depends_on_two_values_at_once_is_found():
    rng = Random(0)
    drawn = [{"share": rng.random(), "rate": 10 ** rng.uniform(-4, -1)} for _ in range(40)]
    told = [(values, [(1, abs(values["share"] - place([RATE], values)[0]) + values["share"])]) for values in drawn]
    found = [promising([SHARE, RATE], told, Random(seed)) for seed in range(5)]
    assert all(one["share"] < 0.2 and place([RATE], one)[0] < 0.3 for one in found)


def test_equal_costs_are_no_obstacle():
    told = [({"share": number / 10}, [(1, 1.0), (2, 1.0)]) for number in range(8)]
    assert 0 <= promising([SHARE], told, Random(0))["share"] <= 1


def test_others_are_sent_away_from_where_a_trial_still_trains():
    def chosen(running=()):
        return promising([SHARE, RATE], told, Random(0), running)

    away = []
    for seed in range(6):
        rng = Random(seed)
        drawn = [{"share": rng.random(), "rate": 10 ** rng.uniform(-4, -1)} for _ in range(10)]
        told = [(values, [(1, math.dist(place([SHARE, RATE], values), (0.5, 0.5)))]) for values in drawn]
        places = [place([SHARE, RATE], values) for values in (chosen(), chosen([chosen()]))]
        away.append(math.dist(*places))
    assert min(away) > 0 and sum(away) / len(away) > 0.05
