"""A dropped JSON becomes jobs: what is allowed, what is reported, what is refused."""

import pytest

from serving.sweeps import BadSweep, check_declared, plan
from tuning.checks import check_line

GRID = {
    "EPOCHS": 1,
    "BATCH_SIZE": 10,
    "LEARNING_RATE": [0.001, 0.002],
    "KERNEL_SIZE": [3],
    "NUM_FILTERS": [20],
    "DENSE_WIDTH": [128],
}


def test_a_grid_in_short_names_is_one_job_for_each_combination():
    found = plan({**GRID, "models": "simple_cnn"})
    common = "models.kernel_size=3 models.num_filters=20 models.dense_width=128 models=simple_cnn"
    assert found.size == 2 and found.unknown == {}
    assert [" ".join(job) for job in found.jobs()] == [
        f"trainer.max_epochs=1 datamodule.batch_size=10 optimizers.lr={rate} {common}" for rate in (0.001, 0.002)
    ]


def test_omitted_keys_are_left_to_the_worker():
    assert plan({"LEARNING_RATE": 0.1}).jobs() == [["optimizers.lr=0.1"]]
    assert plan({}).jobs() == [[]]


def test_any_allowed_key_of_the_configuration_can_be_swept():
    found = plan({"optimizers": ["sgd", "adamw"], "seed": [0, 1], "schedulers": "cosine"})
    assert found.size == 4
    assert found.jobs()[0] == ["optimizers=sgd", "seed=0", "schedulers=cosine"]


@pytest.mark.parametrize(
    ("asked", "jobs"),
    [
        ({"datamodule.augment": ["light", "none"]}, [["datamodule/augment=light"], ["datamodule/augment=none"]]),
        ({"datamodule/augment": "mix", "seed": 1}, [["datamodule/augment=mix", "seed=1"]]),
        ({"task.loss": "focal", "task.loss.gamma": 2.5}, [["task/loss=focal", "task.loss.gamma=2.5"]]),
        ({"task.metrics": [["Accuracy", "F1Score"]]}, [["task.metrics=[Accuracy,F1Score]"]]),
        ({"callback": ["ema", ["ema", "early_stopping"]]}, [["callback=ema"], ["callback=[ema,early_stopping]"]]),
        ({"models": "fast_net", "models.widths": [[8, 16, 16]]}, [["models=fast_net", "models.widths=[8,16,16]"]]),
        ({"datamodule.augment.crop.scale": [[0.5, 1.0]]}, [["datamodule.augment.crop.scale=[0.5,1.0]"]]),
        ({"callback.checkpoints": None, "callback": "ema"}, [["callback.checkpoints=null", "callback=ema"]]),
    ],
)  # fmt: skip
def test_groups_below_groups_and_values_that_are_lists_can_be_swept(asked, jobs):
    declared = ["datamodule/augment=auto"]
    check_declared(declared)
    found = plan(asked, declared, check=check_line)
    assert (found.jobs(), found.unknown) == (jobs, {})


def test_unknown_keys_are_reported_with_the_nearest_one_and_strict_refuses_them():
    found = plan({"LEARNING_RAT": [1, 2, 3], "EPOCHS": 1})
    assert found.size == 1 and "LEARNING_RATE" in found.unknown["LEARNING_RAT"]
    with pytest.raises(BadSweep, match="LEARNING_RAT: there is no such key"):
        plan({"LEARNING_RAT": 1}, strict=True)


def test_a_key_that_the_chosen_model_does_not_have_is_reported():
    found = plan({"models": "resnet18", "NUM_FILTERS": [8, 16], "EPOCHS": 2})
    assert list(found.choices) == ["models", "trainer.max_epochs"]
    assert found.unknown == {"NUM_FILTERS": "the chosen groups do not have it"}


def test_what_a_worker_declares_decides_which_keys_there_are():
    assert "NUM_FILTERS" in plan({"NUM_FILTERS": 8}, declared=["models=resnet18"]).unknown


def test_the_size_is_known_before_anything_is_expanded():
    huge = {
        key: list(range(1, 60)) for key in ("EPOCHS", "SEED", "BATCH_SIZE", "NUM_FILTERS", "DENSE_WIDTH", "KERNEL_SIZE")
    }
    with pytest.raises(BadSweep, match="42,180,533,641 jobs, at most 1,000"):
        plan(huge)


@pytest.mark.parametrize(
    "key",
    [
        "models._target_",
        "_target_",
        "hydra.run.dir",
        "+models.x",
        "++trainer.max_epochs",
        "~callback",
        "a b",
        "a=b",
        "x;y",
        "seed@pkg",
        "logs",
        "run_name",
        "resume_weights_training",
        "datamodule",
        "datamodule.root",
        "datamodule.cache_dir",
        "trainer.accelerator",
        "logger",
        "callback.store",
        "tune.address",
        "tune.token",
        "serving.port",
        "active",
    ],
)
def test_keys_that_reach_elsewhere_are_refused_not_ignored(key):
    with pytest.raises(BadSweep):
        plan({key: "x"})


@pytest.mark.parametrize(
    "value",
    [
        "../x",
        "/etc/passwd",
        "s3://x",
        "${oc.env:HOME}",
        "a,b",
        "[1]",
        "{a: 1}",
        "a b",
        "$(id)",
        "x\n",
        "choice(1,2)",
        {},
        [[1]],
    ],
)
def test_values_that_name_a_place_or_that_a_grammar_reads_are_refused(value):
    with pytest.raises(BadSweep):
        plan({"models.architecture": value, "models": "timm"})


def test_values_of_the_wrong_type_and_options_that_are_not_there_are_refused_before_any_job_runs():
    with pytest.raises(BadSweep, match="^LEARNING_RATE='fast': expected a number"):
        plan({"LEARNING_RATE": "fast"})
    with pytest.raises(BadSweep, match="no such option"):
        plan({"optimizers": "no-such"})
    with pytest.raises(BadSweep, match="store that the job came from"):
        plan({"callback": "store"})
    with pytest.raises(BadSweep, match="names no place"):
        plan({"models": "timm", "models.pretrained": "file"})
    with pytest.raises(BadSweep, match="store that the job came from"):
        plan({"callback": [["ema", "store"]]})
    with pytest.raises(BadSweep, match="datamodule/augment=lights: there is no such option"):
        plan({"datamodule.augment": "lights"})
    with pytest.raises(BadSweep, match="callback.ema=0.9: callback.ema has keys of its own"):
        plan({"callback": "ema", "callback.ema": 0.9})
    with pytest.raises(BadSweep, match="datamodule/augment and another name"):
        plan({"datamodule.augment": "light", "datamodule/augment": "none"})


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"EPOCHS": ["many"]}, r"^EPOCHS='many': expected a whole number \(such as 3\)$"),
        ({"EPOCHS": 0}, "^EPOCHS=0 trains nothing"),
        ({"EPOCHS": True}, "^EPOCHS=true: "),
        ({"EPOCHS": None}, "^EPOCHS=null: "),
        ({"models": "resnt18"}, "^models=resnt18: timm"),
        ({"models": "timm", "models.architecture": "resnt18"}, "^models.architecture=resnt18: timm"),
        ({"models": "fast_net", "models.widths": [8, 16]}, r"^models.widths=8: .*, a single list is \[\[8, 16\]\]$"),
        ({"models": "fast_net", "models.widths": [[8, None]]}, r"^models.widths=\[8, null\]: .* in place of null$"),
        ({"trainer.max_epochs": 0}, "^trainer.max_epochs=0 trains nothing"),
        ({"trainer.max_time": "soon"}, "trainer.max_time=soon"),
        ({"trainer.speed": "fast"}, "trainer.speed=fast"),
        ({"trainer.gradient_clip_val": "x"}, "trainer.gradient_clip_val='x'"),
        ({"BATCH_SIZE": 0}, "^BATCH_SIZE=0"),
        ({"MODEL": None}, "^MODEL=null"),
        ({"MODEL": ["resnet18", "resnt18"]}, "^MODEL=resnt18: timm has none of that name; did you mean"),
        ({"MODEL": "resnet18.a7_in1k"}, "resnet18 has no weights tagged a7_in1k"),
        ({"MODEL": "unet", "models.encoder": "resnet19"}, "models.encoder=resnet19: timm has none of that name"),
        ({"seed": -1}, "seed=-1"),
        ({"tune.trials": 0}, "tune.trials=0"),
    ],
)
def test_a_value_that_no_job_can_run_is_refused_by_the_name_that_it_was_given_under(asked, why):
    with pytest.raises(BadSweep, match=why):
        plan(asked, check=check_line)


def test_a_model_without_a_key_of_a_worker_is_refused_not_its_other_keys():
    with pytest.raises(BadSweep, match="models.num_filters: there is no such key"):
        plan({"MODEL": "resnet18", "EPOCHS": 1}, declared=["models.num_filters=3"])


def test_a_figure_is_no_place():
    asked = {"callback": "early_stopping", "callback.stopping_metric": "val/accuracy"}
    assert plan(asked).jobs() == [["callback=early_stopping", "callback.stopping_metric=val/accuracy"]]
    for bad in ("val/../x", "val/", "logs/x", "/val/accuracy", "val/accuracy/x"):
        with pytest.raises(BadSweep, match="a word has"):
            plan(asked | {"callback.stopping_metric": bad})
