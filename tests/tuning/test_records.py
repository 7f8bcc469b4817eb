"""The journal: what is in it outlives a kill, torn lines included."""

import math

from tuning.objectives import read_goal
from tuning.records import Journal, Trial

GOAL = read_goal(["val/loss"], "auto", [])


def trial(number, **fields):
    curve = [(1, {"val/loss": 0.5, "val/accuracy": 0.7}), (2, {"val/loss": 0.6, "val/accuracy": 0.8})]
    return Trial(number, {"optimizers.lr": 0.1, "models": "timm"}, curve=curve, **fields)


def test_trials_come_back_as_they_were(tmp_path):
    journal = Journal(tmp_path / "deep" / "trials.jsonl")
    assert journal.read() == []
    ended = trial(0, state="complete", figures={"seconds": 1.5}, seconds=1.5, elapsed=2.0)
    for one in (Trial(0, ended.values), trial(1), ended):
        journal.write(one)
    assert journal.read() == [ended, trial(1)]


def test_a_torn_line_costs_no_other_trial(tmp_path):
    journal = Journal(tmp_path / "trials.jsonl")
    journal.write(trial(0, state="complete"))
    with journal.file.open("a") as file:
        file.write('{"number": 1, "values": {"optimi')
    journal.write(trial(2, state="failed", error="out of memory"))
    assert [(one.number, one.state) for one in journal.read()] == [(0, "complete"), (2, "failed")]


def test_a_trial_is_judged_by_its_best_epoch():
    assert trial(0, figures={"seconds": 2.0}).best(GOAL) == {"val/loss": 0.5, "val/accuracy": 0.7, "seconds": 2.0}
    assert trial(0).best(read_goal(["val/accuracy"], "auto", []))["val/accuracy"] == 0.8
    assert math.isnan(Trial(0, {}).costs(GOAL)[0])
