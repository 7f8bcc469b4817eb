"""A search in one process, with real trainings: what it finds, what it records, and when it gives up."""

import csv
import json
import math
import os
import signal
import time

import pytest
import torch

from models.figures import reported
from models.interruption import Interrupted, status
from models.run import Run, create
from models.training import BATCH_SIZE
from tuning import local
from tuning.charts import history_chart
from tuning.interruption import place
from tuning.orders import Ending, Order
from tuning.records import Journal
from tuning.results import best_told, write_results
from tuning.search import _told
from tuning.study import Study
from tuning.table import line, row
from tuning.trial import run_trial
from utils.configuration import composed

FOREIGN = "+callback.own._target_=pytorch_lightning.callbacks.Timer"  # what such a callback logs is not known before


@pytest.fixture
def searched(problem, tmp_path):
    """Runs a whole search."""

    def run(*overrides: str, folder: str = "tune") -> Study:
        study = Study(problem("tune.backend=local", *overrides), tmp_path / folder)
        local.search(study)
        return study

    return run


@pytest.fixture
def handlers():
    """Of signals; afterwards they are as they were: Lightning ignores Ctrl-C from the first one on."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield before
    for number, handler in before.items():
        signal.signal(number, handler)


def ended(study: Study, ending: Ending, accuracy: float) -> None:
    """A trial as if it had trained for an epoch."""
    number = study.next().number
    study.report(number, 1, {"val/loss": 1.0, "val/accuracy": accuracy})
    study.end(number, ending)


def test_trials_are_stopped_and_their_curves_and_folders_kept(searched):
    study = searched("tune.trials=6")
    assert [trial.number for trial in study.ended] == [0, 1, 2, 3, 4, 5]
    assert study.trials[0].values["optimizers.lr"] == 0.001  # the configuration as it stands
    assert study.trials[0].state == "complete" and study.trials[0].epochs == 3
    stopped = [trial for trial in study.ended if trial.state == "stopped"]
    assert stopped and all(trial.epochs == 1 for trial in stopped)
    assert Journal(study.place / "trials.jsonl").read() == study.trials
    for trial in study.ended:
        config = (study.folder(trial) / "full_configurations.yaml").read_text()
        assert f"lr: {trial.values['optimizers.lr']}" in config
        assert not list(study.folder(trial).rglob("*.ckpt"))
    assert study.best().costs(study.goal)[0] == min(one.costs(study.goal)[0] for one in study.ranked())


def test_a_search_that_goes_on_ends_as_the_undisturbed_one(searched, problem, tmp_path):
    whole = searched("tune.trials=5")
    lines = (whole.place / "trials.jsonl").read_text().splitlines()
    cut = tmp_path / "cut" / "trials.jsonl"
    cut.parent.mkdir()
    cut.write_text("\n".join(lines[:7]) + "\n" + lines[7][:30])  # killed in the fourth trial, in mid-line
    study = Study(problem("tune.backend=local", "tune.trials=5"), cut.parent)
    assert [trial.number for trial in study.ended] == [0, 1, 2]
    local.search(study)
    assert [trial.values for trial in study.ended] == [trial.values for trial in whole.ended]
    assert [trial.state for trial in study.ended] == [trial.state for trial in whole.ended]
    assert [trial.costs(study.goal) for trial in study.ended] == [trial.costs(whole.goal) for trial in whole.ended]


def test_an_error_without_words_is_a_failure_all_the_same(problem, tmp_path, monkeypatch):
    def broken(config):
        raise ValueError

    monkeypatch.setattr("tuning.trial.prepared", broken)
    ending = run_trial(Order(0, problem().of_trial({}), str(tmp_path / "trial")), lambda epoch, figures: True)
    assert ending.error == "ValueError: "


def test_a_failing_trial_is_recorded_with_its_error_and_the_search_goes_on(searched):
    study = searched('tune.space=["models.num_filters=choice(4,-1,8)"]', "tune.searcher=grid")
    states = {trial.values["models.num_filters"]: trial.state for trial in study.ended}
    assert states["-1"] == "failed" and "complete" in (states["4"], states["8"])
    [failed] = [trial for trial in study.ended if trial.state == "failed"]
    assert failed.error == "models.num_filters=-1: use 1 or more"
    assert "Traceback" in (study.folder(failed) / "error.txt").read_text()
    study.require_found()


def test_where_all_trials_fail_the_first_error_is_shown(searched):
    study = searched('tune.space=["models.num_filters=choice(-1,-2)"]', "tune.searcher=grid")
    with pytest.raises(
        ValueError, match=r"all 2 trials failed, the first of them with: models\.num_filters=-\d: use 1"
    ):
        study.require_found()


def test_a_trial_without_validation_images_says_that(problem, tmp_path):
    order = Order(0, problem("datamodule.val_share=0").of_trial({}), str(tmp_path / "trial"))
    ending = run_trial(order, lambda epoch, figures: True)
    assert ending.error.startswith("trainer.tune: there are no validation images to judge by; set datamodule.val_share")


@pytest.mark.parametrize(
    ("mistake", "told"),
    [
        (("datamodule.val_share=0",), "there are no validation images"),
        (("datamodule=folder", "datamodule.root=nowhere"), "is no folder"),
    ],
)
def test_images_that_no_trial_can_use_end_the_search_at_the_first(searched, mistake, told):
    study = searched(*mistake)
    assert len(study.trials) == 1
    with pytest.raises(ValueError, match=rf"^(?!all ).*{told}"):
        study.require_found()


def test_images_that_only_some_trials_can_use_do_not_end_the_search(problem, tmp_path):
    several = problem('tune.space=["datamodule.val_share=choice(0,0.2)"]', "tune.searcher=grid")
    study = Study(several, tmp_path / "tune")
    study.end(study.next().number, Ending(error="no images to judge by", without_images=True))
    assert study.next() is not None


def test_images_that_vanish_meanwhile_lose_no_finished_trial(problem, tmp_path):
    study = Study(problem(), tmp_path / "tune")
    ended(study, Ending(), accuracy=0.9)
    study.end(study.next().number, Ending(error="is no folder", without_images=True))
    study.require_found()


def test_a_diverging_trial_fails_and_says_so(searched):
    study = searched('tune.space=["optimizers.lr=choice(0.001,1e30)"]', "tune.searcher=grid", "optimizers=sgd")
    ended = {trial.values["optimizers.lr"]: trial for trial in study.ended}
    assert ended["0.001"].state == "complete" and ended["1e+30"].state == "failed"
    assert ended["1e+30"].diverged and "not finite" in ended["1e+30"].error


def test_a_figure_that_nobody_reports_ends_the_search_at_once(searched):
    study = searched("tune.objective=val/acuracy", FOREIGN)
    assert len(study.trials) == 1
    with pytest.raises(ValueError, match=r"no trial reports val/acuracy; did you mean val/accuracy.*val/loss"):
        study.require_found()
    assert sorted(study.trials[0].curve[0][1]) == sorted(reported(composed([])) or [])


def test_a_time_too_short_for_one_trial_is_refused(searched):
    slow = ("datamodule.n_samples=1700", "datamodule.batch_size=1", "models.num_filters=64", "models.blocks=3")
    study = searched("tune.max_time=00:00:00:01", *slow)
    with pytest.raises(ValueError, match=r"tune\.max_time=00:00:00:01 was over before the first epoch"):
        study.require_found()


def test_what_the_time_cuts_off_lacks_the_figures_of_a_whole_trial_and_is_told_without_them(problem, tmp_path):
    study = Study(problem("tune.objective=[val/accuracy,latency_ms]"), tmp_path / "tune")
    ended(study, Ending(stopped=True), accuracy=0.9)
    write_results(study)
    assert "–" in (study.place / "report" / "index.html").read_text()
    ended(study, Ending({"latency_ms": 3.0}), accuracy=0.8)
    assert [trial.number for trial in study.ranked()] == [1, 0]


def test_a_time_too_short_for_the_figure_of_a_whole_trial_is_told_as_such(problem, tmp_path):
    study = Study(problem("tune.objective=latency_ms", "tune.max_time=00:00:09:00"), tmp_path / "tune")
    ended(study, Ending(stopped=True), accuracy=0.9)
    with pytest.raises(ValueError, match=r"before the end of the first trial, where latency_ms is known: give more"):
        study.require_found()


def test_where_no_trial_keeps_the_constraints_the_nearest_is_best_and_all_say_so(problem, tmp_path, caplog):
    study = Study(problem("tune.objective=val/accuracy", 'tune.constraints=["parameters<=10"]'), tmp_path / "tune")
    for accuracy, parameters in ((0.9, 40.0), (0.8, 30.0)):
        ended(study, Ending({"parameters": parameters}), accuracy=accuracy)
    assert study.best().number == 1
    words = "none of 2 trials keeps parameters ≤ 10; the best has parameters 30"
    write_results(study)
    assert json.loads((study.place / "params.json").read_text())["constraints"] == words
    assert words[1:] in (study.place / "report" / "index.html").read_text()
    with caplog.at_level("WARNING"):
        _told(study, Run(tmp_path / "run"))
    assert caplog.messages == [words]
    ended(study, Ending({"parameters": 5.0}), accuracy=0.1)
    assert study.best().number == 2 and study.unkept == ""
    best, *_ = history_chart(study).series
    assert (best.name, list(best.x), list(best.y)) == ("best so far", [3], [0.1])  # not what breaks a limit
    told = line(study, study.trials[0])
    assert told.startswith("trial   1  complete  epoch   1/3  val/accuracy 0.9000  parameters 40 ")


def test_a_figure_that_is_no_number_is_null_in_json(problem, tmp_path):
    study = Study(problem("tune.objective=val/loss"), tmp_path / "tune")
    ended(study, Ending(), accuracy=math.nan)
    assert best_told(study)["figures"] == {"val/loss": 1.0, "val/accuracy": None}


def test_a_grid_that_the_trials_cut_off_says_what_would_try_all(problem, tmp_path):
    space = 'tune.space=["models.num_filters=range(1,6)"]'
    cut = Study(problem("tune.searcher=grid", space), tmp_path / "cut")
    assert cut.left_out == "4 of 5 combinations; tune.trials=5 tries all"
    assert Study(problem("tune.searcher=grid", space, "tune.trials=5"), tmp_path / "whole").left_out == ""


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (("tune.objective=[val/loss,parameters]", "tune.scheduler=median"), "scheduler=median: of several"),
        (("tune.objective=latency_ms",), "scheduler=asha: latency_ms is known at a trial's end"),
        (("tune.objective=latency_ms", "tune.scheduler=none"), ""),
        ((), ""),
    ],
)
def test_a_scheduler_that_stops_nothing_says_so(problem, tmp_path, given, told):
    assert told in (said := Study(problem(*given), tmp_path / "tune").unstopped) and bool(said) == bool(told)


@pytest.mark.parametrize(("weights_only", "goes_on"), [(False, True), (True, False)])
def test_a_final_training_goes_on_where_its_checkpoint_holds_every_state(problem, tmp_path, weights_only, goes_on):
    run = create(str(tmp_path / "logs"), "default", "killed", force=False)
    study = Study(problem("tune.trials=1"), place(run))
    ended(study, Ending({"seconds": 1.0}), 0.5)
    assert not _told(study, run).resume
    run.write({"callback": {"checkpoints": {"save_weights_only": weights_only}}, "record": {}})
    run.checkpoints.mkdir()
    run.last.write_bytes(b"")
    assert _told(study, run).resume is goes_on


def test_sigterm_ends_a_search_in_mid_trial_and_the_signal_is_told(problem, tmp_path, handlers):
    def watch(study):
        if study.trials[-1].curve:
            os.kill(os.getpid(), signal.SIGTERM)

    study = Study(problem("tune.backend=local"), tmp_path / "tune", watch)
    with pytest.raises(Interrupted, match="stopped by SIGTERM after 0 trials") as stop:
        local.search(study)
    assert status(stop.value) == 143 and signal.getsignal(signal.SIGTERM) is handlers[signal.SIGTERM]
    assert [trial.state for trial in Journal(study.place / "trials.jsonl").read()] == ["running"]


def test_more_gpus_than_there_are_are_refused(searched):
    with pytest.raises(ValueError, match=rf"gpus_per_trial=99\.0 but there are {torch.cuda.device_count()} GPUs"):
        searched("tune.gpus_per_trial=99.0")


def test_several_objectives_and_a_constraint_give_a_front(searched):
    study = searched(
        "tune.objective=[val/accuracy,parameters]",
        'tune.constraints=["parameters<=2000"]',
        'tune.space=["models.num_filters=choice(2,4,64)"]',
        "tune.searcher=grid",
        "trainer.max_epochs=1",
    )
    write_results(study)
    told = json.loads((study.place / "params.json").read_text())
    assert {one["params"]["models.num_filters"] for one in told["front"]} <= {"2", "4"}
    assert told["params"]["models.num_filters"] in ("2", "4")
    assert (study.place / "report" / "search_front.png").exists()


def test_latency_is_measured_where_it_is_asked_for(searched):
    study = searched("tune.objective=latency_ms", "tune.trials=1", "trainer.max_epochs=1")
    assert 0 < study.ended[0].figures["latency_ms"] < 1000


def test_the_automatic_optimizer_works_inside_trials(searched):
    study = searched(
        "optimizers.option=auto", "optimizers.candidates=[sgd,adamw]", "optimizers.max_step_count=4",
        'tune.space=["models.num_filters=choice(2,4)"]', "tune.trials=2", "trainer.max_epochs=1",
    )  # fmt: skip
    assert [trial.error for trial in study.ended] == ["", ""]
    assert "option: auto" not in (study.folder(study.ended[0]) / "full_configurations.yaml").read_text()
    the_choice_is_told(study)


@pytest.mark.parametrize(
    "given",
    [
        ("optimizers.option=auto", "optimizers.candidates=[sgd,adamw]", "optimizers.max_step_count=4"),
        ("optimizers.option=auto", "optimizers.candidates=[sgd,adamw]", "optimizers.max_training_time='00:00:01:00'"),
        ("optimizers=adamw", "optimizers.lr=auto"),
    ],
)
def test_the_automatic_optimizer_of_a_trial_ends_with_the_time_of_the_search(problem, tmp_path, given):
    order = Order(0, problem("tune.space=auto", *given).of_trial({}), str(tmp_path / "trial"), deadline=time.time())
    ending = run_trial(order, lambda epoch, figures: True)
    assert ending.stopped and not ending.error and not (tmp_path / "trial/auto_optimizer.json").exists()


def the_choice_is_told(study):
    """In the table, in trials.csv, on the page, and by whoever goes on with the search."""
    write_results(study)
    best, page = study.best(), (study.place / "report/index.html").read_text()
    chosen = json.loads((study.folder(best) / "auto_optimizer.json").read_text())["winner"]
    assert best.chosen == {"optimizers": chosen["optimizer"], "optimizers.lr": chosen["lr"]}
    words = f"optimizers {chosen['optimizer']}, lr {chosen['lr']:.4g}"
    assert row(study, best)[-1].endswith(words) and words in page
    rows = csv.DictReader((study.place / "trials.csv").read_text().splitlines())
    assert chosen["optimizer"] in [one["optimizers"] for one in rows if int(one["trial"]) == best.number + 1]
    assert Study(study.problem, study.place).best().chosen == best.chosen


def test_the_batch_size_that_each_trial_chose_is_told(searched):
    study = searched("datamodule.batch_size=auto", "tune.trials=1", "trainer.max_epochs=1")
    [trial] = study.ended
    size = Run(study.folder(trial)).read()["datamodule"]["batch_size"]
    assert trial.chosen == {"datamodule.batch_size": size}
    write_results(study)
    assert row(study, trial)[-1].endswith(f"batch_size {size}")
    assert f"batch_size {size}" in (study.place / "report/index.html").read_text()
    [told] = csv.DictReader((study.place / "trials.csv").read_text().splitlines())
    assert told["datamodule.batch_size"] == str(size)
    assert json.loads((study.place / "params.json").read_text())["chosen"] == trial.chosen


def test_trials_that_differ_in_batches_alone_share_their_images(problem, tmp_path):
    from tuning.trial import prepared

    first, second, other = (
        prepared(problem().of_trial(values))
        for values in ({"datamodule.batch_size": 8}, {"datamodule.batch_size": 16}, {"datamodule.height": 6})
    )
    assert (first.batch_size, second.batch_size) == (8, 16)
    assert first._training_store is second._training_store is not other._training_store


def test_images_are_prepared_where_the_batch_size_is_still_to_be_measured(problem):
    from tuning.trial import prepared

    assert prepared(problem("datamodule.batch_size=auto").of_trial({})).batch_size == BATCH_SIZE


def test_what_a_search_leaves(searched):
    study = searched('tune.space=["optimizers.lr=tag(log, interval(1e-4, 1e-1))","models.dropout=interval(0.0, 0.5)"]')
    write_results(study)
    best = study.best()
    told = json.loads((study.place / "params.json").read_text())
    assert told["params"] == best.values and told["figures"]["val/loss"] == best.costs(study.goal)[0]
    lr = composed([], told["overrides"])["optimizers"]["lr"]
    assert math.isclose(lr, best.values["optimizers.lr"])
    assert len((study.place / "trials.csv").read_text().splitlines()) == 5
    page = (study.place / "report" / "index.html").read_text()
    for name in ("history", "curves", "parallel", "importance"):
        assert (study.place / "report" / f"search_{name}.png").exists()
    assert f"The best is trial {best.number + 1}" in page and "https://" not in page.split("<script")[0]


def test_a_trial_that_failed_is_not_drawn_as_the_best_so_far(problem, tmp_path):
    study = Study(problem("tune.objective=val/accuracy"), tmp_path / "tune")
    for accuracy, error in ((0.5, ""), (0.9, "out of memory"), (0.6, "")):
        ended(study, Ending(error=error), accuracy)
    best, complete = history_chart(study).series
    assert (list(best.x), list(best.y), list(complete.x)) == ([1, 3], [0.5, 0.6], [1, 3])
