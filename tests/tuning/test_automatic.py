"""experiment=auto as a user gives it."""

import json
import re
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from models.run import Run
from models.training import refuse_unchosen
from tuning.automatic import Automatic, enough_s, worth_trying
from tuning.automatic_settings import AutomaticSettings, of_automatic
from tuning.candidates import Candidate, Clock, end_s
from tuning.contest import smaller
from tuning.verdicts import Verdict, sections, write
from utils.configuration import composed

LITTLE = ("experiment=auto", "trainer.max_time=00:00:00:30", "trainer.threads=1", "trainer.speed=fp32",
          "logger.tensorboard=null", "auto.networks=[simple_cnn]", "auto.augmentations=[none,digits]")  # fmt: skip


def stored(folder: Path) -> dict:
    return yaml.safe_load((folder / "full_configurations.yaml").read_text())


@pytest.mark.soak
def test_everything_is_chosen_explained_and_reproduces_without_a_choice(command, tmp_path):
    done = command("train.py", *LITTLE, "run_name=first", "models.num_filters=8", "limits.latency_ms=50")
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "logs/auto/first"
    told = json.loads((folder / "automatic.json").read_text())
    assert {
        "data",
        "network and image size",
        "augmentation",
        "batch size",
        "optimizer and rate",
        "schedule",
        "deployment limits",
    } <= {one["what"] for one in told}
    page = (folder / "report" / "index.html").read_text()
    assert "Automatic choices" in page and all(one["chosen"] in page for one in told)
    assert re.search(r"validation loss [\d.]+ after \d+ steps, .* images/s; ", page)
    config = stored(folder)
    assert config["auto"] is None and config["models"]["num_filters"] == 8
    assert config["optimizers"]["option"] is None and isinstance(config["datamodule"]["batch_size"], int)
    again = command("train.py", "reproduce=first", "logs=" + str(tmp_path / "logs"))
    assert again.returncode == 0, again.stdout + again.stderr
    assert "network and image size" not in again.stdout


REFUSED = {
    ("experiment=auto",): "experiment=auto needs a time",
    ("experiment=auto", "trainer.max_time=fast"): "write it as",
    (*LITTLE, "auto.networks=[]"): "auto.networks=[] leaves nothing to try",
    (*LITTLE, "auto.networks_share=0"): "use a share of the time",
    (*LITTLE, "auto.optimizers_share=0.9"): "leave less than 0.2 of the time to train",
    (*LITTLE, "+auto.network=[resnet18]"): "did you mean networks",
    (*LITTLE, "limits.latency_ms=-1"): "limits.latency_ms=-1",
    (*LITTLE, "trainer.tune=true"): "experiment=auto and trainer.tune=true do not go together",
    (*LITTLE, "active=standalone"): "experiment=auto and active do not go together",
    (*LITTLE, "schedulers=cosine"): "experiment=auto and schedulers=cosine do not go together: only",
    (*LITTLE, "limits.memory_mib=100"): "python benchmark.py limits.memory_mib=100, then give models=",
}


@pytest.mark.parametrize("line", REFUSED, ids=lambda line: line[-1])
def test_a_mistake_is_refused_in_words(line):
    with pytest.raises(ValueError, match=re.escape(REFUSED[line])):
        of_automatic(composed(list(line)))


def test_what_is_auto_is_chosen_within_the_time_and_nothing_is_left_open(places, tmp_path, caplog):
    line = [*LITTLE, *places, "trainer.max_time=00:00:00:10", "trainer.accelerator=cpu", "models=simple_cnn",
            "models.num_filters=4", "models.blocks=1", "datamodule.n_samples=200", "auto.augmentations=[strong]",
            "datamodule.batch_size=auto", "optimizers=sgd", "optimizers.lr=auto"]  # fmt: skip
    given = [override.partition("=")[0] for override in line]
    base = composed(line)
    automatic = Automatic(base, Run(tmp_path), lambda further: composed(line, further), given, of_automatic(base))
    automatic.clock.started = time.time() - 1
    config, _ = automatic.decide()
    assert "trainer.max_time=00:00:00:10 is little: 1 s went into starting, 5 s are for choosing" in caplog.text
    refuse_unchosen(config)
    assert config["optimizers"]["name"] == "sgd" and isinstance(config["datamodule"]["batch_size"], int)
    why = {told.what: told.why for told in automatic.told}
    assert re.fullmatch(r"[\d,]+ images/s", why["augmentation"])


@pytest.mark.parametrize(("given", "names"), [
    ((), ["the task's network"]),
    (("auto.networks=[unet,timm]",), ["unet", "timm"]),
    (("models=unet",), ["the given network"]),
])  # fmt: skip
def test_a_segmentation_is_trained_with_a_network_that_answers_for_pixels(tmp_path, given, names):
    line = ["experiment=auto", "trainer.max_time=00:00:01:00", "task=segmentation", "datamodule=masks",
            "datamodule.root=masks", *given]  # fmt: skip
    base, keys = composed(line), [override.partition("=")[0] for override in line]
    automatic = Automatic(base, Run(tmp_path), lambda further: composed(line, further), keys, of_automatic(base))
    assert [name for name, _ in automatic._networks()] == names


def test_a_time_is_enough_where_networks_are_compared_and_half_of_what_choosing_leaves_is_trained():
    wanted = AutomaticSettings(networks=["a"], sizes=[32], augmentations=["none"])
    assert enough_s(12.0, 1.0, wanted) == pytest.approx(100)
    assert enough_s(1.0, 25.5, wanted) == pytest.approx(100)


def test_augmentations_that_pay_late_are_left_out_of_a_short_training_unless_they_are_all():
    assert worth_trying(["none", "strong", "mix"], epochs=5.0) == ["none"]
    assert worth_trying(["strong", "mix"], epochs=5.0) == ["strong", "mix"]


def test_a_long_training_goes_without_augmentation_only_if_it_has_to():
    assert worth_trying(["none", "digits", "strong"], epochs=50.0) == ["digits", "strong"]
    assert worth_trying(["none"], epochs=50.0) == ["none"]


def test_where_the_time_is_over_no_augmentations_are_compared(tmp_path):
    base = composed(list(LITTLE))
    automatic = Automatic(base, Run(tmp_path), lambda further: composed(list(LITTLE), further), [], of_automatic(base))
    automatic.clock.started = time.time() - 60
    one = Candidate("a", [], SimpleNamespace(data=SimpleNamespace(sizes={"val": 0, "test": 0})))
    assert automatic._augmentation(one) is one
    assert automatic.told[-1].why == "no time to compare it with others"


@pytest.mark.parametrize(("steps", "share"), [(25, 0.25), (400, 1.0), (1, 0.08)])
def test_a_short_training_sees_as_much_fewer_images_as_it_passes_fewer_times_over_them(steps, share):
    course = SimpleNamespace(full_steps=400, images_per_step=20, data=SimpleNamespace(sizes={"train": 1000}))
    assert smaller(course, steps) == pytest.approx(share)


def test_time_is_kept_to_judge_all_images_as_fast_as_images_are_judged():
    data = SimpleNamespace(sizes={"val": 50, "test": 900})  # those that validate are judged twice
    one = Candidate("a", [], SimpleNamespace(data=data), step_s=10.0, judged_s=0.02)
    assert end_s(one, Clock(1000.0)) - end_s(replace(one, judged_s=0.0), Clock(1000.0)) == pytest.approx(30, abs=1)


def test_a_mistake_leaves_no_run(command, tmp_path):
    done = command("train.py", *LITTLE, "auto.networks=[]")
    assert done.returncode == 2 and "auto.networks=[] leaves nothing to try" in done.stderr, done.stderr
    assert not list((tmp_path / "logs").glob("*/*"))


def test_a_network_that_breaks_a_limit_is_refused_and_the_nearest_is_named(command, tmp_path):
    done = command("train.py", *LITTLE, "limits.parameters=0.00001", "models.num_filters=4", "models.blocks=1")
    assert done.returncode == 2
    assert re.search(r"no network works here; the nearest is .*: .* M parameters, 1e-05 are allowed", done.stderr)


def test_the_report_repeats_the_verdicts(tmp_path):
    write(tmp_path, [Verdict("network", "simple_cnn", "validation loss 0.1")])
    [section] = sections(Run(tmp_path))
    assert section.blocks[0].rows == (("network", "simple_cnn", "validation loss 0.1"),)
    assert sections(Run(tmp_path / "other")) == []


def test_shares_have_defaults_that_leave_most_of_the_time():
    wanted = AutomaticSettings(networks=["a"], sizes=[32], augmentations=["none"])
    assert wanted.choosing_share < 0.5
