"""A search on Ray: the same as in one process, and a worker that is killed costs nothing."""

import json
import os
import signal
from dataclasses import asdict
from pathlib import Path

import psutil
import pytest
from optuna.trial import TrialState

from tuning.ray_search import connected, search
from tuning.records import Journal
from tuning.settings import TuneSettings
from tuning.study import Study
from tuning.table import shown


@pytest.fixture(scope="module", autouse=True)
def ray_on_this_machine():
    """One Ray for all tests here."""
    token = Path("~/.ray/auth_token").expanduser()
    there = token.exists()
    with connected(TuneSettings()):
        yield
    assert token.exists() == there, "a token file was written though nobody asked for one"


def workers() -> list[psutil.Process]:
    """The processes that train."""
    tree = psutil.Process().children(recursive=True)
    return [one for one in tree if one.is_running() and "ImplicitFunc" in " ".join(one.cmdline())]


def test_a_ray_of_its_own_starts_nothing_that_a_search_has_no_use_for():
    tree = [" ".join(one.cmdline()) for one in psutil.Process().children(recursive=True)]
    assert any("raylet" in one for one in tree)
    assert not [one for one in tree if "autoscaler" in one or "log_monitor" in one or "ray::IDLE" in one]


@pytest.mark.soak
def test_workers_are_used_again_and_stopped_trials_are_pruned_with_their_values(problem, tmp_path):
    seen = set()

    def watch(study):
        seen.update(one.pid for one in workers())

    study = Study(problem("tune.trials=7", "tune.cpus_per_trial=1"), tmp_path / "tune", watch)
    search(study)
    assert sorted(trial.number for trial in study.ended) == [*range(7)]
    assert {trial.error for trial in study.ended} == {""}
    assert 1 <= len(seen) < len(study.trials)
    stopped = [trial for trial in study.ended if trial.state == "stopped"]
    pruned = study.searcher.study().get_trials(states=[TrialState.PRUNED])
    assert stopped and len(pruned) == len(stopped)
    told = [{epoch: figures["val/loss"] for epoch, figures in trial.curve} for trial in stopped]
    assert all(one.intermediate_values in told for one in pruned)
    assert Journal(study.place / "trials.jsonl").read() == study.trials
    assert (study.folder(study.trials[0]) / "metrics.csv").exists()


@pytest.mark.soak
def test_a_killed_worker_costs_no_trial(problem, tmp_path):
    killed = []

    def watch(study):
        begun = [trial for trial in study.trials if trial.state == "running" and trial.epochs == 2]
        if begun and not killed and workers():
            killed.append(workers()[0].pid)
            os.kill(killed[0], signal.SIGKILL)

    study = Study(problem("tune.trials=3", "tune.scheduler=none", "trainer.max_epochs=6"), tmp_path / "tune", watch)
    search(study)
    assert killed
    assert [trial.state for trial in study.ended] == ["complete"] * 3
    assert all([epoch for epoch, _ in trial.curve] == [1, 2, 3, 4, 5, 6] for trial in study.ended)


@pytest.mark.soak
def test_in_a_population_the_worst_go_on_as_changed_copies_of_the_best(problem, tmp_path):
    rates = 'tune.space=["optimizers.lr=tag(log, interval(1e-6, 1e-1))","models.dropout=interval(0.0, 0.5)"]'
    study = Study(problem("tune.scheduler=pbt", "tune.trials=4", "trainer.max_epochs=4", rates), tmp_path / "tune")
    search(study)
    assert [(trial.state, trial.error) for trial in study.ended] == [("complete", "")] * 4
    assert all([epoch for epoch, _ in trial.curve] == [1, 2, 3, 4] for trial in study.ended)
    copies = [trial for trial in study.ended if trial.past]
    assert copies
    for trial in copies:
        epoch, former = trial.past[-1]
        assert trial.values["optimizers.lr"] != former["optimizers.lr"] and 1 <= epoch < 4
        assert trial.values["models.dropout"] == former["models.dropout"]  # comes with the weights
        stored = (study.folder(trial) / "full_configurations.yaml").read_text()
        assert f"lr: {trial.values['optimizers.lr']}" in stored
    assert Journal(study.place / "trials.jsonl").read() == study.trials
    assert [file.name for file in study.place.iterdir() if file.is_dir()] == ["trials"]  # Ray's own files are gone


@pytest.mark.soak
def test_a_population_goes_on_after_a_kill_with_what_had_ended(problem, tmp_path):
    """Others begin anew, from the values that they had at first."""
    found = problem("tune.scheduler=pbt", "tune.trials=4")
    study = Study(found, tmp_path / "tune")
    search(study)
    lines = study.journal.file.read_text().splitlines(keepends=True)
    first = json.loads(lines[4])  # after four that begin
    study.journal.file.write_text("".join(lines[:5]))
    again = Study(found, tmp_path / "tune")
    assert [trial.number for trial in again.ended] == [first["number"]] and len(again.interrupted) == 3
    search(again)
    assert [(trial.state, trial.error) for trial in again.ended] == [("complete", "")] * 4
    assert json.loads(json.dumps(asdict(again.trials[first["number"]]))) == first


def test_one_worker_runs_trial_after_trial_and_those_that_fail_are_recorded(problem, tmp_path):
    space = 'tune.space=["models.num_filters=choice(4,-1,2)"]'
    one = (space, "tune.searcher=grid", "tune.cpus_per_trial=2", "tune.scheduler=none", "trainer.max_epochs=2")
    seen = set()
    with shown() as table:  # holds what cannot be pickled

        def watch(study):
            table(study)
            seen.update(one.pid for one in workers())

        study = Study(problem(*one), tmp_path / "tune", watch)
        search(study)
    ended = {trial.values["models.num_filters"]: trial for trial in study.ended}
    assert {value: trial.state for value, trial in ended.items()} == {"4": "complete", "-1": "failed", "2": "complete"}
    assert ended["-1"].error == "models.num_filters=-1: use 1 or more"
    assert [epoch for epoch, _ in ended["2"].curve] == [1, 2]
    assert len(seen) == 1
    assert Journal(study.place / "trials.jsonl").read() == study.trials


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("tune.gpus_per_trial=99.0", r"tune\.gpus_per_trial=99 but there are \d+ GPUs"),
        ("tune.cpus_per_trial=999", r"tune\.cpus_per_trial=999 but there are \d+ CPUs"),
    ],
)
def test_more_than_the_cluster_has_is_refused(problem, tmp_path, asked, message):
    with pytest.raises(ValueError, match=message):
        search(Study(problem(asked), tmp_path / "tune"))


@pytest.mark.soak
def test_a_figure_that_nobody_reports_ends_the_search(problem, tmp_path):
    foreign = "+callback.own._target_=pytorch_lightning.callbacks.Timer"  # what it logs is not known before
    study = Study(problem("tune.objective=val/acuracy", foreign), tmp_path / "tune")
    search(study)
    with pytest.raises(ValueError, match="no trial reports val/acuracy"):
        study.require_found()
