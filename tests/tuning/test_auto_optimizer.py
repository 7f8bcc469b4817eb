"""optimizers.option=auto as a user gives it: what is chosen, what is left behind, and that it can be had again."""

import json
import math
import re
import signal
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from tuning import auto_optimizer
from tuning.arms import Arm
from tuning.auto_optimizer import planned, search
from tuning.auto_report import section
from tuning.auto_report import told as told_of
from tuning.auto_settings import AutoSettings, SearchSettings, of_choice
from tuning.course import OUT_OF_TIME, Curve, State
from tuning.halving import Round
from utils.configuration import composed

SMALL = ("datamodule.n_samples=400", "trainer.max_epochs=6", "trainer.speed=fp32", "trainer.threads=1",
         "models.num_filters=8", "models.blocks=2", "logger.tensorboard=null", "trainer.report=false")  # fmt: skip
AUTO = (*SMALL, "optimizers.option=auto", "optimizers.candidates=[sgd,adamw,muon]", "optimizers.search.rates=2")


def stored(folder: Path) -> dict:
    return yaml.safe_load((folder / "full_configurations.yaml").read_text())


def told(folder: Path) -> dict:
    return json.loads((folder / "auto_optimizer.json").read_text())


def test_the_winner_is_written_down_and_the_run_reproduces_without_a_search(command, tmp_path):
    found = {}
    for then, shown in (("restart", True), ("continue", False)):
        chosen = (f"optimizers.search.then={then}", f"trainer.report={shown}", f"run_name={then}")
        done = command("train.py", *AUTO, *chosen)
        assert done.returncode == 0, done.stderr
        folder = tmp_path / "logs/default" / then
        node, found[then] = stored(folder)["optimizers"], told(folder)
        assert node["option"] is None and node["_target_"] == "models.optimizers.build_optimizer"
        winner = found[then]["winner"]
        assert (node["lr"], node["weight_decay"]) == (winner["lr"], winner["node"]["weight_decay"])
        assert (node["search"]["replay"] is None) == (then == "restart")
        assert "Automatic optimizer" in done.stdout and f"chosen: {found[then]['why']}" in done.stdout
        assert len(found[then]["ranked"]) == 6 and found[then]["ranked"][0]["lr"] == node["lr"]
        again = command("train.py", f"reproduce={then}", f"run_name={then}-again")
        assert again.returncode == 0, again.stdout + again.stderr
        assert (
            "round 1" not in again.stdout and not (folder.with_name(f"{then}-again") / "auto_optimizer.json").exists()
        )
    the_same_losses(found["restart"], found["continue"])
    the_report_shows_every_round(tmp_path / "logs/default/restart/report", found["restart"]["why"])


def the_same_losses(first, second):
    """The same seed searches the same, whatever becomes of the winner."""
    losses = [[[arm["val"] for arm in arms] for arms in found["rounds"]] for found in (first, second)]
    assert losses[0] == losses[1]


def the_report_shows_every_round(report, why):
    page = (report / "index.html").read_text()
    assert "Automatic optimizer" in page and why[:20] in page
    assert all((report / f"auto_optimizer_{number}.png").stat().st_size > 5000 for number in (1, 2))


def test_a_killed_run_goes_on_without_a_second_search(command, launch, tmp_path):
    options = (*AUTO, "optimizers.search.then=continue", "run_name=first", "trainer.max_epochs=15")
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


def test_the_plain_rule_gives_each_candidate_the_budget_and_takes_the_lowest_training_loss(command, tmp_path):
    plain = ("optimizers.search.rule=lowest_train_loss", "optimizers.num_epochs=2", "trainer.max_epochs=3")
    done = command("train.py", *AUTO, *plain, "run_name=first")
    assert done.returncode == 0, done.stderr
    [tried] = told(tmp_path / "logs/default/first")["rounds"]
    assert [(arm["optimizer"], arm["lr"], arm["steps"]) for arm in tried] == [
        ("sgd", 0.05, 8), ("adamw", 0.001, 8), ("muon", 0.002, 8)
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
    "optimizers.search.order=[muom]": "optimizers.search.order=muom: timm and torch have no such optimizer",
    "optimizers.search.at_once=0": "optimizers.search.at_once=0: use 1 or more",
    "optimizers.max_step_count=0": "optimizers.max_step_count=0 trains nothing",
    "optimizers.max_training_time=fast": "optimizers.max_training_time=fast: write it as",
    "optimizers.candidates=[]": "leaves nothing to try",
    "optimizers.candidates=[sgd,sgd]": "name each one once",
    "optimizers.candidates=[sdg]": "optimizers.candidates=sdg: timm and torch have no such optimizer; did you mean",
    "optimizers.lr_range=[1,0.1]": "give [lowest, highest]",
}
REFUSED_LATE = {
    "optimizers.search.eta=1": "optimizers.search.eta=1: use 2 or more",
    "datamodule.val_share=0": "no validation images",
}


@pytest.mark.parametrize("override", REFUSED)
def test_a_mistake_is_refused_in_words(override):
    with pytest.raises(ValueError, match=re.escape(REFUSED[override])):
        of_choice(composed([*SMALL, "optimizers.option=auto", override])["optimizers"])


@pytest.mark.parametrize("override", REFUSED_LATE)
def test_a_mistake_leaves_no_run(command, tmp_path, override):
    done = command("train.py", *SMALL, "optimizers.option=auto", override)
    assert done.returncode == 2 and REFUSED_LATE[override] in done.stderr, done.stderr
    assert "Traceback" not in done.stderr and not list((tmp_path / "logs").glob("*/*"))


class Written:
    """A course whose trainings are written down beforehand: validation loss by (name, round's steps)."""

    full_steps, steps_per_epoch, deadline = 90, 10, math.inf

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


@pytest.mark.parametrize(
    ("given", "steps"),
    [({"num_epochs": 2}, 20), ({"max_step_count": 15}, 15), ({"num_epochs": 2, "max_step_count": 15}, 15)],
)
def test_a_budget_bounds_the_longest_round(given, steps):
    rules = SearchSettings(rule="lowest_train_loss"), SearchSettings()
    for chosen in rules:
        assert planned(Written({}), contestants(*FOUR), AutoSettings(**given), chosen)[-1].length == steps


def test_what_leads_in_the_longest_round_wins_with_its_state():
    losses = {"sgd": [0.2, 0.5], "adamw": [0.3, 0.1], "lion": [0.9, 0.0], "lamb": [0.8, 0.0]}
    course = Written(losses)
    found = search(course, contestants(*FOUR), LONG, RULES)
    assert found.winner.name == "adamw" and found.state.optimizer == {"of": "adamw"}
    assert [name for name, steps, _ in course.calls if steps == 90] == ["sgd", "adamw"]
    assert [one.arm.name for one in found.ranked] == ["adamw", "sgd", "lamb", "lion"]


@pytest.mark.parametrize(("horizon", "rates"), [(0.5, (0.1732, 0.1)), (-0.5, (0.0577, 0.1))])
def test_a_shorter_round_trains_at_the_rate_that_suits_its_length(horizon, rates):
    course = Written({name: [0.5, 0.5] for name in FOUR})
    search(course, contestants(*FOUR), LONG, SearchSettings(horizon=horizon))
    assert {(steps, round(rate, 4)) for _, steps, rate in course.calls} == {(30, rates[0]), (90, rates[1])}


def at_rates(*rates: float) -> list[Arm]:
    return [Arm(arm.name, rate, arm.node | {"lr": rate}) for arm in contestants("muon") for rate in rates]


class ByRate(Written):
    """The same of one optimizer, by (rate, round's steps)."""

    def train(self, make, steps, until=None, deadline=0.0):
        return super().train(partial(make.func, name=f"{make.keywords['lr']:g}", lr=make.keywords["lr"]), steps)


def test_rates_beside_the_leaders_are_tried_again_at_full_length_up_to_the_best():
    losses = {"0.1": [0.2, 0.5], "0.2": [0.3, 0.4], "0.4": [0.6, 0.3], "0.8": [0.7, 0.6], "1.6": [0.8, 0.1]}
    course = ByRate(losses)
    found = search(course, at_rates(0.1, 0.2, 0.4, 0.8, 1.6), LONG, RULES)
    assert [name for name, steps, _ in course.calls if steps == 90] == ["0.1", "0.2", "0.4", "0.8"]
    assert found.winner.lr == 0.4 and found.state.optimizer == {"of": "0.4"}
    assert [one.arm.lr for one in found.ranked] == [0.4, 0.2, 0.1, 0.8, 1.6]


def test_rates_are_not_tried_again_after_the_time(monkeypatch):
    class Slow(ByRate):
        def train(self, make, steps, until=None, deadline=0.0):
            clock.append(clock[-1] + 0.2)
            return super().train(make, steps)

    clock, rates = [0.0], (0.1, 0.2, 0.4, 0.8)
    monkeypatch.setattr(auto_optimizer, "time", SimpleNamespace(monotonic=lambda: clock[-1]))
    monkeypatch.setattr(auto_optimizer, "planned", lambda *_: [Round(4, 30), Round(2, 90)])
    losses = {"0.1": [0.2, 0.5], "0.2": [0.3, 0.4], "0.4": [0.6, 0.3], "0.8": [0.7, 0.6]}
    for seconds, winner in ((1, 0.2), (9, 0.4)):
        clock[:] = [0.0]
        given = AutoSettings(max_training_time=f"00:00:00:0{seconds}")
        assert search(Slow(losses), at_rates(*rates), given, RULES).winner.lr == winner


def test_a_rate_that_did_not_train_is_not_tried_again():
    losses = {"0.1": [0.2, 0.3], "0.2": [0.1, 0.2], "0.4": [0.6, 0.0], "0.8": [0.7, 0.6]}
    course = ByRate(losses, {"0.4": "its loss rose"})
    assert search(course, at_rates(0.1, 0.2, 0.4, 0.8), LONG, RULES).winner.lr == 0.2
    assert ("0.4", 90) not in [call[:2] for call in course.calls]


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


def test_arms_that_the_time_left_out_are_counted_in_the_verdict():
    losses = {name: [0.5, 0.5] for name in FOUR}
    found = search(Written(losses, dict.fromkeys(FOUR[1:], OUT_OF_TIME)), contestants(*FOUR), LONG, RULES)
    assert "(4 arms, 3 of them not tried for want of time, rounds: 1" in found.why


def test_what_the_time_is_over_for_is_said_once_a_round(caplog):
    losses = {name: [0.5, 0.5] for name in FOUR}
    with caplog.at_level("INFO"):
        search(Written(losses, dict.fromkeys(FOUR[1:], OUT_OF_TIME)), contestants(*FOUR), LONG, RULES)
    assert [line for line in caplog.messages if OUT_OF_TIME in line] == ["out of time for 3 arms of this round"]


def test_an_arm_that_never_began_is_in_the_table_and_in_no_chart():
    class Late(Written):
        def train(self, make, steps, until=None, deadline=0.0):
            curve, state = super().train(make, steps, until, deadline)
            return (Curve(steps, dropped=OUT_OF_TIME) if make.keywords["name"] == "lamb" else curve), state

    found = told_of(search(Late({name: [0.5, 0.5] for name in FOUR}), contestants(*FOUR), LONG, RULES))
    _, charts, table = section(found).blocks
    assert [row[-1] for row in table.rows if row[0] == "lamb"] == [OUT_OF_TIME]
    assert [series.name for series in charts.charts[0].series if "lamb" in series.name] == []


def test_no_time_at_all_is_an_error():
    losses = {name: [0.5, 0.5] for name in FOUR}
    with pytest.raises(ValueError, match="max_training_time is too short"):
        search(Written(losses, dict.fromkeys(FOUR, OUT_OF_TIME)), contestants(*FOUR), LONG, RULES)
