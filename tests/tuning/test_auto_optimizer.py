"""optimizers.option=auto as a user gives it: what is chosen, what is left behind, and that it can be had again."""

import json
import signal
import time
from pathlib import Path

import pytest
import yaml

from tuning.arms import Arm
from tuning.auto_optimizer import search
from tuning.auto_settings import AutoSettings, SearchSettings
from tuning.course import OUT_OF_TIME, Curve, State

SMALL = ("datamodule.n_samples=400", "trainer.max_epochs=6", "trainer.speed=fp32", "trainer.threads=1",
         "models.num_filters=8", "models.blocks=2", "logger.tensorboard=null")  # fmt: skip
AUTO = (*SMALL, "optimizers.option=auto", "optimizers.candidates=[sgd,adamw,muon]", "optimizers.search.rates=2")


def stored(folder: Path) -> dict:
    return yaml.safe_load((folder / "full_configurations.yaml").read_text())


def told(folder: Path) -> dict:
    return json.loads((folder / "auto_optimizer.json").read_text())


@pytest.mark.parametrize("then", ["restart", "continue"])
def test_the_winner_is_written_down_and_the_run_reproduces_without_a_search(command, tmp_path, then):
    done = command("train.py", *AUTO, f"optimizers.search.then={then}", "run_name=first")
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "logs/default/first"
    node, found = stored(folder)["optimizers"], told(folder)
    assert node["option"] is None and node["_target_"] == "models.optimizers.build_optimizer"
    assert (node["lr"], node["weight_decay"]) == (found["winner"]["lr"], found["winner"]["node"]["weight_decay"])
    assert (node["search"]["replay"] is None) == (then == "restart")
    assert "Automatic optimizer" in done.stdout and f"chosen: {found['why']}" in done.stdout
    assert len(found["ranked"]) == 6 and found["ranked"][0]["lr"] == node["lr"]
    again = command("train.py", "reproduce=first", "run_name=again")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "round 1" not in again.stdout and not (folder.with_name("again") / "auto_optimizer.json").exists()


def test_the_report_shows_every_round(command, tmp_path):
    assert command("train.py", *AUTO, "run_name=first").returncode == 0
    report = tmp_path / "logs/default/first/report"
    page = (report / "index.html").read_text()
    assert "Automatic optimizer" in page and told(report.parent)["why"][:20] in page
    assert all((report / f"auto_optimizer_{number}.png").stat().st_size > 5000 for number in (1, 2))


def test_the_same_seed_chooses_the_same_with_the_same_losses(command, tmp_path):
    for name in ("first", "second"):
        assert command("train.py", *AUTO, f"run_name={name}").returncode == 0
    first, second = (told(tmp_path / "logs/default" / name)["rounds"] for name in ("first", "second"))
    assert [[arm["val"] for arm in arms] for arms in first] == [[arm["val"] for arm in arms] for arms in second]


def test_a_killed_run_goes_on_without_a_second_search(command, launch, tmp_path):
    options = (*AUTO, "optimizers.search.then=continue", "run_name=first", "trainer.max_epochs=60")
    folder = tmp_path / "logs/default/first"
    running = launch("train.py", *options, "optimizers.max_step_count=20", "callback.checkpoints.every_n_steps=2")
    while not (folder / "checkpoints/last.ckpt").exists() and running.process.is_alive():
        time.sleep(0.01)
    running.send(signal.SIGKILL)
    running.wait()
    chosen = stored(folder)["optimizers"]
    done = command("train.py", "resume_full_training=first")
    assert done.returncode == 0, done.stderr
    assert "round 1" not in done.stdout and stored(folder)["optimizers"] == chosen
    undisturbed = command("train.py", f"reproduce={folder}", "run_name=again")
    assert undisturbed.returncode == 0, undisturbed.stdout


@pytest.mark.parametrize(("budget", "steps"), [("num_epochs=2", 8), ("max_step_count=10", 10)])
def test_the_plain_rule_gives_each_candidate_the_budget_and_takes_the_lowest_training_loss(
    command, tmp_path, budget, steps
):
    plain = ("optimizers.search.rule=lowest_train_loss", f"optimizers.{budget}", "trainer.max_epochs=3")
    done = command("train.py", *AUTO, *plain, "run_name=first")
    assert done.returncode == 0, done.stderr
    [tried] = told(tmp_path / "logs/default/first")["rounds"]
    assert [(arm["optimizer"], arm["lr"], arm["steps"]) for arm in tried] == [
        ("sgd", 0.05, steps), ("adamw", 0.001, steps), ("muon", 0.002, steps)
    ]  # fmt: skip
    lowest = min(tried, key=lambda arm: arm["train_loss"])
    assert stored(tmp_path / "logs/default/first")["optimizers"]["lr"] == lowest["lr"]


def test_a_time_is_kept(command, tmp_path):
    done = command("train.py", *AUTO, "optimizers.max_training_time=00:00:00:03", "run_name=first")
    assert done.returncode == 0, done.stderr
    assert told(tmp_path / "logs/default/first")["seconds"] < 6  # a deadline is seen after each step


REFUSED = {
    "optimizers.search.rule=fastest": "optimizers.search.rule",
    "optimizers.search.then=stop": "optimizers.search.then",
    "+optimizers.search.rat=3": "optimizers.search.rat",
    "optimizers.search.eta=1": "optimizers.search.eta=1: use 2 or more",
    "optimizers.search.at_once=0": "optimizers.search.at_once=0: use 1 or more",
    "optimizers.max_step_count=0": "optimizers.max_step_count=0 trains nothing",
    "optimizers.max_training_time=fast": "optimizers.max_training_time=fast: write it as",
    "optimizers.candidates=[]": "leaves nothing to try",
    "optimizers.candidates=[sgd,sgd]": "name each one once",
    "optimizers.lr_range=[1,0.1]": "give [lowest, highest]",
    "optimizers.candidates=[sdg]": "there is no optimizer sdg; did you mean",
    "datamodule.val_share=0": "no validation images",
}


@pytest.mark.parametrize("override", REFUSED)
def test_a_mistake_is_refused_in_words_and_leaves_no_run(command, tmp_path, override):
    done = command("train.py", *SMALL, "optimizers.option=auto", override)
    assert done.returncode == 2 and REFUSED[override] in done.stderr, done.stderr
    assert "Traceback" not in done.stderr and not list((tmp_path / "logs").glob("*/*"))


class Written:
    """A course whose trainings are written down beforehand: validation loss by (name, round's steps)."""

    full_steps, steps_per_epoch = 90, 10

    def __init__(self, losses: dict[str, list[float]], dropped: dict[str, str] | None = None) -> None:
        self.losses, self.dropped, self.calls = losses, dropped or {}, []

    def train(self, make, steps, until=None, deadline=0.0):
        name, rate = make.keywords["name"], make.keywords["lr"]
        place = [30, 90].index(steps)
        self.calls.append((name, steps, rate))
        curve = Curve(steps, train=[(steps, 1.0)], val=[(steps, self.losses[name][place])])
        curve.dropped = self.dropped.get(name, "")
        return curve, State({}, {"of": name})


def contestants(*names: str) -> list[Arm]:
    node = {"_target_": "models.optimizers.build_optimizer", "_partial_": True, "option": None}
    return [Arm(name, 0.1, node | {"name": name, "lr": 0.1}) for name in names]


RULES = SearchSettings(eta=3, horizon=0.0)
LONG = AutoSettings(max_step_count=90)
FOUR = ("sgd", "adamw", "lion", "lamb")


def test_what_leads_in_the_longest_round_wins_with_its_state():
    losses = {"sgd": [0.2, 0.5], "adamw": [0.3, 0.1], "lion": [0.9, 0.0], "lamb": [0.8, 0.0]}
    course = Written(losses)
    found = search(course, contestants(*FOUR), LONG, RULES)
    assert found.winner.name == "adamw" and found.state.optimizer == {"of": "adamw"}
    assert [name for name, steps, _ in course.calls if steps == 90] == ["sgd", "adamw"]
    assert [one.arm.name for one in found.ranked] == ["adamw", "sgd", "lamb", "lion"]


def test_a_shorter_round_trains_at_a_higher_rate():
    course = Written({name: [0.5, 0.5] for name in FOUR})
    search(course, contestants(*FOUR), LONG, SearchSettings(horizon=0.5))
    assert {(steps, round(rate, 4)) for _, steps, rate in course.calls} == {(30, 0.1732), (90, 0.1)}


def test_dropped_arms_never_win_and_where_all_are_the_first_cause_is_told():
    losses = {name: [0.5, 0.5] for name in FOUR}
    found = search(Written(losses, {"sgd": "its loss rose", "adamw": "its loss rose"}), contestants(*FOUR), LONG, RULES)
    assert found.winner.name == "lion"
    with pytest.raises(ValueError, match="none of 4 arms trains; sgd at 0.1: its loss rose"):
        search(Written(losses, dict.fromkeys(FOUR, "its loss rose")), contestants(*FOUR), LONG, RULES)


@pytest.mark.parametrize(("late", "winner"), [({"sgd", "adamw"}, "adamw"), ({"sgd"}, "adamw")])
def test_where_the_time_cuts_a_round_off_what_it_did_compare_decides_else_the_one_before(late, winner):
    class Slow(Written):
        def train(self, make, steps, until=None, deadline=0.0):
            curve, state = super().train(make, steps, until, deadline)
            if steps == 90 and make.keywords["name"] in late:
                curve.dropped = OUT_OF_TIME
            return curve, state

    losses = {"sgd": [0.3, 0.1], "adamw": [0.2, 0.5], "lion": [0.9, 0.0], "lamb": [0.8, 0.0]}
    found = search(Slow(losses), contestants(*FOUR), LONG, RULES)
    assert found.winner.name == winner and found.state.optimizer == {"of": winner}
    assert found.ranked[0].arm == found.winner


def test_no_time_at_all_is_an_error():
    losses = {name: [0.5, 0.5] for name in FOUR}
    with pytest.raises(ValueError, match="max_training_time is too short"):
        search(Written(losses, dict.fromkeys(FOUR, OUT_OF_TIME)), contestants(*FOUR), LONG, RULES)
