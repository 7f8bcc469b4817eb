"""How often is often enough; the clock is handed in."""

from itertools import count, cycle

from tuning.repetitions import LEAST, MEASURED_S, MOST, WARM, is_narrow, timed


def clock_of(durations):
    """A clock whose readings lie so far apart, from the start of a call to its end."""
    now, ends = 0.0, False
    steps = iter(durations)

    def read():
        nonlocal now, ends
        now += next(steps) if ends else 0.0
        ends = not ends
        return now

    return read


def test_a_slow_call_is_timed_at_least_four_times():
    calls = count()
    spent = timed(lambda: next(calls), clock_of(cycle([5.0])))
    assert spent == [5.0] * LEAST and next(calls) == LEAST + 1  # one to warm up


def test_a_steady_call_is_soon_known():
    assert len(timed(lambda: None, clock_of(cycle([0.001])))) == 30


def test_an_unsteady_call_is_timed_for_two_seconds():
    spent = timed(lambda: None, clock_of(cycle([0.01, 0.03, 0.02, 0.05])))
    assert MEASURED_S <= sum(spent) < MEASURED_S + 0.05


def test_a_call_of_no_duration_ends_all_the_same():
    unsteady = (value for number in count() for value in (1e-7 * (number % 9),))
    assert len(timed(lambda: None, clock_of(unsteady))) <= MOST


def test_warm_calls_are_not_counted():
    spent = timed(lambda: None, clock_of([9.0 if number == 0 else 0.001 for number in range(200)]))
    assert max(spent) < 0.002 and WARM > 1


def test_narrow_is_meant_of_the_median_and_not_of_the_tail():
    assert is_narrow([0.01] * 40 + [5.0] * 5)
    assert not is_narrow([0.01, 0.02] * 20)
