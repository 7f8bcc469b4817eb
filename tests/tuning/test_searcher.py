"""What is tried next, and what Optuna is told of each trial."""

from random import Random

import optuna
import pytest
from optuna.trial import TrialState

from tuning.objectives import read_goal
from tuning.records import Trial
from tuning.searcher import Searcher
from tuning.space import Parameter
from tuning.surrogate import promising

LR = Parameter("lr", "float", 1e-4, 1e-1, log=True)
WIDTH = Parameter("width", "int", 16, 128, step=16)
NAME = Parameter("name", "choice", choices=("a", "b"))
DEPTH = Parameter("depth", "int", 1, 8, only_if={"name": ("b",)})
SHARE = Parameter("share", "float", 0.0, 1.0)
SPACE = [LR, WIDTH, NAME, DEPTH]
GOAL = read_goal(["val/loss"], "auto", [])


def made(name="tpe", space=SPACE, goal=GOAL, **options):
    return Searcher(name, space, goal, seed=3, **options)


def trial(number, values, cost=1.0, state="complete", **fields):
    curve = [(1, {"val/loss": cost + 1}), (2, {"val/loss": cost})]
    return Trial(number, values, state, [] if state == "failed" else curve, **fields)


def cost_of(values):
    return abs(values["width"] - 64) / 64 + values["lr"]


@pytest.mark.parametrize("name", ["tpe", "gp", "random"])
def test_suggestions_lie_in_the_space_and_follow_its_conditions(name):
    searcher, seen = made(name), []
    for number in range(10):
        values = searcher.suggest(number)
        searcher.tell(trial(number, values, cost_of(values)))
        seen.append(values)
    assert all(1e-4 <= values["lr"] <= 0.1 and values["width"] in range(16, 129, 16) for values in seen)
    assert all(("depth" in values) == (values["name"] == "b") for values in seen)
    assert {values["name"] for values in seen} == {"a", "b"}


@pytest.mark.parametrize("name", ["tpe", "gp"])
def test_a_search_that_goes_on_suggests_what_the_undisturbed_one_would_have(name):
    space = [LR, WIDTH]
    undisturbed, told = made(name, space), []
    for number in range(8):
        values = undisturbed.suggest(number)
        told.append(trial(number, values, cost_of(values)))
        undisturbed.tell(told[-1])
    later = made(name, space)
    for one in told[:6]:
        later.tell(one)
    assert later.suggest(6) == told[6].values
    assert later.suggest(7, told[7].values) == told[7].values


def test_the_first_trial_is_the_configuration_as_it_stands():
    first = {"lr": 0.01, "width": 32, "name": "a"}
    assert made(first=first).suggest(0) == first


def test_stopped_trials_are_pruned_with_their_intermediate_values():
    searcher = made()
    searcher.tell(trial(0, searcher.suggest(0), state="stopped"))
    [frozen] = searcher.study().get_trials(states=[TrialState.PRUNED])
    assert frozen.intermediate_values == {1: 2.0, 2: 1.0}


def test_trials_are_compared_at_an_epoch_that_enough_of_them_reached():
    searcher = made()
    for number in range(14):
        searcher.tell(trial(number, searcher.suggest(number), state="stopped" if number else "complete"))
    searcher.tell(Trial(14, searcher.suggest(14), "complete", [(epoch, {"val/loss": 0.1}) for epoch in range(1, 9)]))
    compared = searcher.study(searcher._rung()).get_trials(states=[TrialState.COMPLETE])
    assert [one.value for one in compared] == [1.0] * 14 + [0.1]


def test_a_trial_that_was_stopped_before_its_first_validation_teaches_nothing():
    searcher = made(space=[LR])
    searcher.tell(trial(0, {"lr": 0.01}))
    searcher.tell(Trial(1, {"lr": 0.02}, "stopped"))
    assert [one.state for one in searcher.study(rung=1).trials] == [TrialState.COMPLETE, TrialState.PRUNED]


def test_what_failed_teaches_nothing_and_what_diverged_keeps_the_search_away():
    searcher = made()
    searcher.tell(trial(0, searcher.suggest(0), state="failed", error="no such file"))
    searcher.tell(trial(1, searcher.suggest(1), state="failed", error="the loss is not finite", diverged=True))
    states = [one.state for one in searcher.study().trials if one.state.is_finished()]
    assert sorted(states) == sorted([TrialState.FAIL, TrialState.PRUNED])


def test_a_broken_constraint_reaches_the_searcher():
    searcher = made(goal=read_goal(["val/loss"], "auto", ["parameters<=10"]))
    searcher.tell(trial(0, searcher.suggest(0), figures={"parameters": 30.0}))
    [frozen] = searcher.study().get_trials(states=[TrialState.COMPLETE])
    assert frozen.constraints == {"parameters ≤ 10": 20.0}


def test_several_objectives_give_a_front():
    searcher = made(goal=read_goal(["val/loss", "parameters"], "auto", []))
    for number, (cost, size) in enumerate([(1.0, 9.0), (2.0, 3.0), (3.0, 5.0)]):
        searcher.tell(trial(number, searcher.suggest(number), cost, figures={"parameters": size}))
    assert sorted(one.values for one in searcher.study().best_trials) == [[1.0, 9.0], [2.0, 3.0]]


def test_tpe_finds_more_than_chance_does():
    best = {}
    for name in ("tpe", "random"):
        searcher, costs = made(name, [LR, WIDTH]), []
        for number in range(30):
            values = searcher.suggest(number)
            costs.append((values["lr"] - 0.03) ** 2 * 100 + abs(values["width"] - 64) / 64)
            searcher.tell(trial(number, values, costs[-1]))
        best[name] = sum(sorted(costs)[:5])
    assert best["tpe"] < best["random"]


def test_once_there_are_enough_every_second_suggestion_is_the_most_promising():
    space = [LR, WIDTH]
    searcher = made("tpe", space)
    for number in range(12):
        values = searcher.suggest(number)
        searcher.tell(trial(number, values, cost_of(values), state="stopped"))
    told = [(one.values, [(epoch, figures["val/loss"]) for epoch, figures in one.curve]) for one in searcher.told]
    first = made_anew(searcher, space).suggest(13)
    assert first == searcher.suggest(13) == promising(space, told, Random("3 13"))
    assert searcher.suggest(12) != promising(space, told, Random("3 12"))
    assert searcher.suggest(15) == promising(
        space, told, Random("3 15"), [one.values for one in searcher.open.values()]
    )


def test_the_model_keeps_away_from_where_trials_diverged_however_well_they_began():
    searcher = made("tpe", [SHARE])
    for number in range(16):
        wild = {"error": "the loss is not finite", "diverged": True} if number >= 8 else {}
        curve = [(1, {"val/loss": 1 - number / 16})]
        searcher.tell(Trial(number, {"share": number / 16}, "failed" if wild else "stopped", curve, **wild))
    assert all(searcher.suggest(number)["share"] < 0.5 for number in range(17, 37, 2))


def test_promising_suggestions_follow_the_conditions_and_survive_what_failed():
    searcher = made("tpe")
    for number in range(30):
        values = searcher.suggest(number)
        assert ("depth" in values) == (values["name"] == "b")
        lost = {"state": "failed", "error": "the loss is not finite", "diverged": True} if number % 5 == 4 else {}
        searcher.tell(trial(number, values, cost_of(values), **lost))


def made_anew(searcher, space):
    later = made("tpe", space)
    for one in searcher.told:
        later.tell(one)
    return later


def test_a_grid_ends_with_its_last_combination():
    searcher = made("grid", [NAME, Parameter("width", "choice", choices=("1", "2"))])
    assert searcher.most_trials == 4
    assert len({tuple(searcher.suggest(number).items()) for number in range(4)}) == 4


def test_a_grid_is_tried_in_an_order_of_the_seed_so_that_a_part_of_it_is_no_corner():
    space = [WIDTH, Parameter("depth", "int", 1, 8)]
    orders = [[tuple(values.values()) for values in Searcher("grid", space, GOAL, seed).grid] for seed in (3, 3, 4)]
    assert orders[0] == orders[1] != orders[2]
    assert len({width for width, _ in orders[0][:16]}) > 2  # in the order of the space they are 16 and 32


def test_optuna_says_nothing_of_its_own():
    assert optuna.logging.get_verbosity() == optuna.logging.ERROR
