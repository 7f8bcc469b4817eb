"""Goals of a search, as the configuration spells them."""

import math

import pytest

from tuning.objectives import read_goal


def test_losses_and_costs_are_lowered_and_other_figures_raised():
    goal = read_goal(["val/loss", "val/accuracy", "latency_ms", "val/rmse", "val/f1"], "auto", [])
    assert [one.raised for one in goal.objectives] == [False, True, False, False, True]
    assert goal.costs({"val/loss": 1.0, "val/accuracy": 0.9})[:2] == [1.0, -0.9]
    assert math.isnan(goal.costs({})[0])


def test_a_given_mode_wins():
    assert read_goal(["val/loss"], "max", []).main.raised
    assert [one.raised for one in read_goal(["a", "b"], ["min", "max"], []).objectives] == [False, True]


@pytest.mark.parametrize(
    ("text", "kept", "broken"),
    [("latency_ms<=5", {"latency_ms": 5.0}, {"latency_ms": 5.1}), ("a >= 0.5", {"a": 0.6}, {"a": 0.4})],
)
def test_constraints_are_kept_or_broken(text, kept, broken):
    goal = read_goal(["a"], "auto", [text])
    assert goal.is_kept(kept) and not goal.is_kept(broken) and not goal.is_kept({})


def test_how_far_constraints_are_broken_is_counted_in_their_limits():
    goal = read_goal(["a"], "auto", ["latency_ms<=5", "a>=0.5"])
    assert goal.excess({"latency_ms": 4.0, "a": 0.5}) == 0
    assert goal.excess({"latency_ms": 10.0, "a": 0.25}) == 1.0
    assert goal.excess({"latency_ms": 4.0}) == math.inf


@pytest.mark.parametrize(("text", "told"), [("latency_ms<5", "write it as"), ("parameters<=1e", "1e is no number")])
def test_a_malformed_constraint_is_refused(text, told):
    with pytest.raises(ValueError, match=rf"tune\.constraints: {text}: {told}"):
        read_goal(["val/loss"], "auto", [text])


def test_a_figure_that_nobody_reports_is_named_with_those_that_are():
    goal = read_goal(["val/acuracy"], "auto", ["latency_ms<=5"])
    with pytest.raises(ValueError, match=r"no trial reports val/acuracy; did you mean val/accuracy.*val/loss"):
        goal.refuse_unreported(["val/loss", "val/accuracy"])
    read_goal(["val/loss"], "auto", ["parameters<=1e6"]).refuse_unreported(["val/loss"])
