"""The front of the best compromises."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tuning.pareto import front

VALUES = st.integers(0, 6).map(float)


def beaten(place, costs, gains):
    mine = (costs[place], gains[place])
    return any(
        cost <= mine[0] and gain >= mine[1] and (cost, gain) != mine for cost, gain in zip(costs, gains, strict=True)
    )


@given(st.lists(st.tuples(VALUES, VALUES), max_size=12))
def test_the_front_is_what_no_other_beats(points):
    costs, gains = [cost for cost, _ in points], [gain for _, gain in points]
    assert front(costs, gains) == [not beaten(place, costs, gains) for place in range(len(points))]


def test_what_is_not_known_is_never_on_the_front():
    assert front([1.0, np.nan, 2.0], [5.0, 9.0, np.nan]) == [True, False, False]
