"""Trials side by side in processes of their own, with real trainings and real kills."""

import os
import signal
from multiprocessing import Pipe

import psutil
import pytest

from models.interruption import Interrupted
from tuning import local
from tuning.local_worker import work
from tuning.pool import pool_of
from tuning.records import Journal
from tuning.study import Study


@pytest.fixture
def study(problem, tmp_path):
    """Makes a search of two trials at once."""

    def made(*overrides: str, watch=lambda study: None) -> Study:
        return Study(problem("tune.backend=local", "tune.at_once=2", *overrides), tmp_path / "tune", watch)

    return made


def workers() -> list[psutil.Process]:
    """The processes that train, not the one that they are forked from."""
    return [one for one in psutil.Process().children(recursive=True) if trains(one)]


def trains(one: psutil.Process) -> bool:
    try:
        return all("tuning.local_worker" in " ".join(other.cmdline()) for other in (one, one.parent()))
    except psutil.NoSuchProcess:  # it was killed a moment ago
        return False


def test_trials_run_side_by_side_and_leave_what_they_leave_in_one_process(study):
    most = 0

    def watch(study):
        nonlocal most
        most = max(most, sum(trial.state == "running" for trial in study.trials))

    searched = study("tune.trials=5", watch=watch)
    local.search(searched)
    assert most == 2 and not workers()
    assert sorted(trial.number for trial in searched.ended) == [0, 1, 2, 3, 4]
    assert {trial.state for trial in searched.ended} <= {"complete", "stopped"}
    assert max(trial.epochs for trial in searched.ended) == 3
    assert Journal(searched.place / "trials.jsonl").read() == searched.trials
    assert all((searched.folder(trial) / "full_configurations.yaml").exists() for trial in searched.ended)


def test_a_trial_whose_process_is_killed_begins_again(study):
    killed: list[int] = []

    def watch(study):
        if not killed and study.trials[0].curve:
            killed.extend(one.pid for one in workers())
            for pid in killed:
                os.kill(pid, signal.SIGKILL)

    searched = study("tune.trials=3", "tune.scheduler=none", watch=watch)
    local.search(searched)
    assert len(killed) == 2
    assert [trial.state for trial in searched.trials] == ["complete"] * 3
    assert all([epoch for epoch, _ in trial.curve] == [1, 2, 3] for trial in searched.trials)


def test_a_trial_whose_process_always_dies_is_given_up_and_the_search_goes_on(study, monkeypatch, capfd):
    def watch(study):
        if any(trial.curve and trial.state == "running" for trial in study.trials[:2]):
            for one in workers():
                one.kill()

    monkeypatch.setattr(local, "MOST_DEATHS", 0)
    searched = study("tune.trials=3", watch=watch)
    local.search(searched)
    assert {trial.state for trial in searched.trials[:2]} == {"failed"}
    assert "its worker died" in searched.trials[0].error
    assert searched.trials[2].state in ("complete", "stopped")
    assert "Traceback" not in capfd.readouterr().err


def test_processes_begun_ahead_are_those_that_train_and_end_with_the_search(study):
    seen, before = set[int](), [one.pid for one in psutil.Process().children()]
    searched = study("tune.trials=2", watch=lambda study: seen.update(one.pid for one in workers()))
    with pool_of(searched.settings) as pool:
        (ahead,) = [one for one in psutil.Process().children() if one.pid not in before]
        searched.pool = pool
        local.search(searched)
    assert {trial.state for trial in searched.trials} <= {"complete", "stopped"}
    assert len(seen) == 2 and not ahead.is_running() and not workers()


def test_sigterm_ends_all_of_them(study):
    def watch(study):
        if study.trials[-1].curve:
            os.kill(os.getpid(), signal.SIGTERM)

    searched = study(watch=watch)
    with pytest.raises(Interrupted, match="stopped by SIGTERM"):
        local.search(searched)
    assert not workers() and any(one.state == "running" for one in Journal(searched.place / "trials.jsonl").read())


def test_a_process_that_nobody_asks_any_more_ends_without_a_word(monkeypatch):
    def leave(status):
        raise SystemExit(status)

    monkeypatch.setattr(os, "_exit", leave)
    asking, asked = Pipe()
    asking.close()
    with pytest.raises(SystemExit):
        work(asked)


def test_processes_that_die_as_they_begin_are_told(study, monkeypatch, tmp_path):
    (tmp_path / "torch.py").write_text("raise SystemExit(1)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(ValueError, match=r"tune\.at_once: a process died as it loaded torch"):
        local.search(study())
