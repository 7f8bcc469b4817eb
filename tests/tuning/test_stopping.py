"""Which trials are stopped when; the rules see numbers, epochs and costs alone."""

import math

import pytest

from tuning.settings import TuneSettings
from tuning.stopping import Asha, Hyperband, Median, Never, retold, stopping


def run(rule, costs, epochs=9):
    """Trials of constant cost, one after the other: the epochs that each trained."""
    trained = []
    for number, cost in enumerate(costs):
        stopped = (epoch for epoch in range(1, epochs + 1) if rule.hear(number, epoch, cost))
        trained.append(next(stopped, epochs))
    return trained


def test_asha_lets_one_in_three_go_on_from_each_rung():
    assert run(Asha(1, 9, 3), [5, 6, 7, 4, 8, 9, 3]) == [9, 1, 1, 9, 1, 1, 9]
    assert run(Asha(1, 9, 3), [1, 2, 3, 1.5, 1.6, 1.4]) == [9, 1, 1, 1, 1, 3]


def test_asha_spares_the_grace_epochs():
    assert min(run(Asha(2, 9, 3), [1, 2, 3, 4])) == 2


def test_a_trial_is_judged_by_its_best_so_far():
    rule = Asha(2, 9, 3)
    rule.hear(0, 1, 1.0), rule.hear(0, 2, 1.0)
    rule.hear(1, 1, 0.5)
    assert not rule.hear(1, 2, 3.0)


def test_a_loss_that_is_no_number_stops():
    assert Asha(3, 9, 3).hear(0, 1, math.nan) and Median(3).hear(0, 1, math.nan)


def test_hyperband_spreads_trials_over_brackets_that_stop_later_and_later():
    rule = Hyperband(1, 9, 3)
    trained = run(rule, [*range(1, 40)])
    assert set(trained[1:]) == {1, 3, 9}
    assert rule.sizes[0] > rule.sizes[1] > rule.sizes[2] > 0


def test_median_waits_for_others_and_stops_the_worse_half():
    assert run(Median(1), [1, 2, 3, 9, 1.5], epochs=3) == [3, 3, 3, 1, 3]
    assert run(Median(3), [1, 2, 3, 9], epochs=5) == [5, 5, 5, 3]


def test_a_rule_told_again_decides_as_the_one_that_heard_it():
    curves = [(number, [(epoch, float(number)) for epoch in (1, 2, 3)]) for number in range(4)]
    assert retold(Asha(1, 9, 3), curves).hear(9, 1, 2.5) is True
    assert retold(Asha(1, 9, 3), curves).hear(9, 1, -0.5) is False


@pytest.mark.parametrize(
    "given",
    [
        {"scheduler": "none"},
        {"objective": ["val/loss", "latency_ms"]},
        {"objective": "latency_ms"},
    ],
)
def test_no_trial_is_stopped_where_nothing_decides_alone_or_early(given):
    assert isinstance(stopping(TuneSettings(**given), 9), Never)
