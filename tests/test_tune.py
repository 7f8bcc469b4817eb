"""`python train.py trainer.tune=True`: from the search to the trained model, and on after a kill."""

import json
import signal
import time

import pytest
import yaml

SMALL = (
    "trainer.tune=True", "tune.backend=local", "datamodule.n_samples=240", "models.num_filters=4", "models.blocks=1",
    "models.dense_width=8", "trainer.speed=fp32", "trainer.threads=1", "trainer.accelerator=cpu", "experiment_name=s",
    'tune.space=["optimizers.lr=tag(log, interval(1e-4, 1e-1))"]',
)  # fmt: skip


def runs(tmp_path):
    return sorted((tmp_path / "logs" / "s").iterdir())


def journal(run):
    file = run / "tune" / "trials.jsonl"
    lines = file.read_text().splitlines() if file.exists() else []
    return [trial for trial in map(json.loads, lines) if trial["state"] != "running"]


def test_the_best_is_trained_in_full_as_a_normal_run(command, tmp_path):
    done = command("train.py", *SMALL, "tune.trials=3", "trainer.max_epochs=2")
    assert done.returncode == 0, done.stderr
    [run] = runs(tmp_path)
    found = json.loads((run / "tune" / "params.json").read_text())
    config = yaml.safe_load((run / "full_configurations.yaml").read_text())
    assert config["optimizers"]["lr"] == found["params"]["optimizers.lr"]
    assert config["trainer"]["tune"] is False
    assert (run / "model.json").exists()
    assert "Search" in (run / "report" / "index.html").read_text()
    assert (run / "report" / "search_history.png").exists()
    assert "3 of 3 trials" in done.stdout and "Accuracy" in done.stdout


def test_a_killed_search_goes_on_by_the_same_command_and_loses_nothing(launch, command, tmp_path):
    line = (*SMALL, "tune.trials=5", "trainer.max_epochs=4", "tune.final=false")
    first, until = launch("train.py", *line), time.monotonic() + 200
    while not (runs(tmp_path) if (tmp_path / "logs" / "s").exists() else []) or len(journal(runs(tmp_path)[0])) < 2:
        assert first.process.is_alive() and time.monotonic() < until, first.errors.read_text()
        time.sleep(0.01)
    first.send(signal.SIGKILL)
    first.process.join()
    [run] = runs(tmp_path)
    before = journal(run)
    done = command("train.py", *line)
    assert done.returncode == 0, done.stderr
    assert runs(tmp_path) == [run]
    assert f"going on with {len(before)} of 5 trials done" in done.stdout
    after = journal(run)
    assert after[: len(before)] == before and [trial["number"] for trial in after] == [0, 1, 2, 3, 4]
    third, until = launch("train.py", *line), time.monotonic() + 200
    while len(runs(tmp_path)) == 1:  # a finished search is not taken for an interrupted one
        assert third.process.is_alive() and time.monotonic() < until, third.errors.read_text()
        time.sleep(0.01)


def test_ctrl_c_in_a_trial_is_told_and_the_search_keeps_what_was_done(launch, tmp_path):
    line = (*SMALL, "tune.trials=50", "trainer.max_epochs=20", "tune.final=false")
    done = launch("train.py", *line).once(
        lambda: (tmp_path / "logs" / "s").exists() and journal(runs(tmp_path)[0]), signal.SIGINT
    )
    assert done.returncode == 130 and "Traceback" not in done.stderr
    assert done.stdout.endswith("interrupted; the same command goes on\n")
    assert 1 <= len(journal(runs(tmp_path)[0])) < 50


@pytest.mark.soak
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_on_ray_is_the_status_and_the_same_command_goes_on_with_what_ran(launch, command, tmp_path, number):
    on_ray = [part for part in SMALL if not part.startswith("tune.backend")]
    line = (*on_ray, "tune.trials=5", "trainer.max_epochs=30", "tune.final=false", "tune.scheduler=none")
    done = launch("train.py", *line).once(
        lambda: (tmp_path / "logs" / "s").exists() and journal(runs(tmp_path)[0]), number
    )
    assert done.returncode == 128 + number and "Traceback" not in done.stderr
    said = "interrupted" if number == signal.SIGINT else "stopped by SIGTERM after "
    assert said in done.stdout and done.stdout.endswith("; the same command goes on\n")
    [run] = runs(tmp_path)
    before = journal(run)
    assert {trial["state"] for trial in before} == {"complete"} and len(before) < 5
    done = command("train.py", *line)
    assert done.returncode == 0, done.stderr
    after = journal(run)
    assert after[: len(before)] == before and [trial["state"] for trial in after] == ["complete"] * 5


def test_a_search_that_finds_nothing_ends_with_the_first_error(command, tmp_path):
    bad = [part for part in SMALL if not part.startswith("tune.space")]
    done = command("train.py", *bad, 'tune.space=["models.num_filters=choice(-1,-2)"]', "tune.searcher=grid")
    assert done.returncode == 2
    assert "all 2 trials failed, the first of them with: models.num_filters=-" in done.stderr


def test_a_mistake_in_the_space_leaves_no_folder(command, tmp_path):
    done = command("train.py", "trainer.tune=True", 'tune.space=["optimizers.lr=interval(3,1)"]')
    assert done.returncode == 2 and "3.0 is not below 1.0" in done.stderr
    assert not (tmp_path / "logs").exists()
