"""What experiment=auto says of the networks that it cannot take, and how it reckons with its time."""

import time

import pytest

from tuning.candidates import Candidate, Clock, figures_of, left_told, nearest_to_usable, sized, span, told_beside
from tuning.course import OUT_OF_TIME


def test_of_networks_that_break_a_limit_the_nearest_is_named_else_the_first():
    slow = Candidate("slow", [], refused="9 ms an image, 3 are allowed", excess=3.0)
    slower = Candidate("slower", [], refused="12 ms an image, 3 are allowed", excess=4.0)
    broken = Candidate("broken", [], refused="no such weights")
    assert nearest_to_usable([broken, slower, slow]) == "the nearest is slow: 9 ms an image, 3 are allowed"
    assert nearest_to_usable([broken]) == "broken: no such weights"


def test_a_candidate_is_told_by_what_stopped_it_or_by_its_loss():
    assert figures_of(Candidate("a", [], refused="too large")) == "too large"
    assert figures_of(Candidate("a", [], loss=0.25, steps=40)) == "validation loss 0.25 after 40 steps, 0 images/s"
    assert figures_of(Candidate("a", [])) == "0 images/s"  # the only one there is
    assert figures_of(Candidate("a", [], too_slow=True)) == "too slow, 0 images/s"
    assert figures_of(Candidate("a", [], dropped=OUT_OF_TIME)) == "out of time, 0 images/s"


def test_candidates_that_there_was_no_time_to_train_are_not_told_as_compared():
    first, second = Candidate("none", []), Candidate("digits", [])
    assert told_beside(first, [first, second]) == "no time to compare them; 0 images/s; digits: 0 images/s"
    first.loss, first.steps = 0.25, 1
    assert told_beside(first, [first, second]) == "validation loss 0.25 after 1 step, 0 images/s; digits: 0 images/s"
    assert told_beside(second, [second]) == "0 images/s"
    rising = [Candidate(name, [], dropped="its loss rose") for name in ("none", "digits")]
    assert told_beside(rising[0], rising) == "its loss rose, 0 images/s; digits: its loss rose, 0 images/s"


def test_the_time_counts_from_the_start_of_the_process():
    clock = Clock(60.0, started=time.time() - 20)
    assert clock.left == pytest.approx(40, abs=1) and clock.spent == pytest.approx(20, abs=1)
    assert 1.0 <= clock.slowness <= 10.0


def test_a_time_that_is_spent_is_not_told_as_left():
    late, early = (left_told(Clock(60.0, started=time.time() - spent), 20.0) for spent in (90, 10))
    assert late == "90 s of 60 are spent, evaluation and report take 20 more"
    assert early == "50 s were left of 60, 20 of them for evaluation and report"


@pytest.mark.parametrize(("seconds", "told"), [(0.2, "00:00:00:01"), (75, "00:00:01:15"), (90_061, "01:01:01:01")])
def test_spans_are_spelt_as_the_settings_read_them(seconds, told):
    assert span(seconds) == told


def test_a_size_is_given_for_both_sides_or_not_at_all():
    assert sized(None) == [] and sized(64) == ["datamodule.height=64", "datamodule.width=64"]
