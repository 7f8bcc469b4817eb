import pytest

from tuning.halving import FEWEST_STEPS, lengthening, sizes, within


@pytest.mark.parametrize(
    ("arms", "eta", "expected"), [(21, 3, [21, 7, 3]), (9, 2, [9, 5, 3, 2]), (2, 3, [2]), (1, 3, [1])]
)
def test_one_in_eta_goes_on_until_few_are_left_to_be_compared(arms, eta, expected):
    assert sizes(arms, eta) == expected


def test_each_round_is_eta_times_as_long_as_the_one_before():
    assert [round_.length for round_ in lengthening(21, 3, 900)] == [100, 300, 900]


@pytest.mark.parametrize("cost", [2_000, 10_000, 123_456])
@pytest.mark.parametrize("arms", [2, 7, 21, 60])
def test_rounds_within_a_cost_use_nearly_all_of_it(arms, cost):
    spent = sum(round_.arms * round_.length for round_ in within(arms, 3, cost))
    assert 0.9 * cost < spent < 1.05 * cost or within(arms, 3, cost)[0].length == FEWEST_STEPS


def test_what_trains_again_is_within_the_cost():
    rounds = within(21, 3, 10_000, again=2)
    assert 9_000 < sum(arms * length for arms, length in rounds) + 2 * rounds[-1].length < 10_500
    assert within(3, 3, 900, again=2) == [(3, 300)]  # one round has tried them all


def test_a_tiny_budget_still_trains_the_fewest_steps_that_tell_anything():
    assert within(21, 3, 10)[0].length == FEWEST_STEPS


def test_no_round_repeats_the_one_before():
    assert [round_.length for round_ in lengthening(21, 3, 3)] == [3]
    assert [round_.length for round_ in lengthening(21, 3, 20)] == [FEWEST_STEPS, 20]
    assert [round_.length for round_ in lengthening(21, 3, 20, shortest=1)] == [2, 7, 20]
