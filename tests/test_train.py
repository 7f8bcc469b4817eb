"""Training as a user runs it: the command, what it leaves, what it refuses."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from train import check_sweep
from utils.overrides import points

ROOT = Path(__file__).parent.parent
SMALL = ("datamodule.n_samples=300", "trainer.max_epochs=3", "trainer.speed=fp32", "trainer.threads=1",
         "models.num_filters=8", "logger.tensorboard=null", "trainer.report=false")  # fmt: skip


def only_run(logs: Path) -> Path:
    [folder] = [file.parent for file in logs.glob("*/*/full_configurations.yaml")]
    return folder


def stored(folder: Path) -> dict:
    return yaml.safe_load((folder / "full_configurations.yaml").read_text())


def weights(folder: Path) -> str:
    return stored(folder)["record"]["weights"]["final"]


def test_a_run_leaves_its_configuration_model_predictions_and_report(command, tmp_path):
    done = command("train.py", *SMALL[:2], "models.num_filters=8")
    assert done.returncode == 0, done.stderr
    folder = only_run(tmp_path / "logs")
    names = {file.name for file in folder.iterdir()}
    assert {"full_configurations.yaml", "metrics.csv", "model.safetensors", "model.json"} <= names
    assert (folder / "report" / "index.html").is_file() and (folder / "checkpoints" / "best.ckpt").is_file()
    assert any(name.startswith("events.out") for name in names)
    assert str(folder / "report" / "index.html") in done.stdout and "Accuracy" in done.stdout
    configuration, manifest = stored(folder), json.loads((folder / "model.json").read_text())
    assert "auto" not in (configuration["trainer"]["speed"], configuration["trainer"]["threads"])
    assert "${" not in (folder / "full_configurations.yaml").read_text()
    assert manifest["weights_sha256"] == configuration["record"]["weights"]["final"]
    assert manifest["classes"] == list("0123456789") and manifest["preprocessing"]["height"] == 8
    with (folder / "predictions_test.csv").open() as file:
        rows = list(csv.DictReader(file))
    right = sum(row["label"] == row["predicted"] for row in rows) / len(rows)
    assert right == pytest.approx(manifest["metrics"]["test/accuracy"])


def test_a_rerun_from_the_one_file_gives_the_same_weights_with_and_without_workers(command, tmp_path):
    done = command("train.py", *SMALL, "run_name=first", "callback=ema")
    assert done.returncode == 0, done.stderr
    assert "none: trainer.report=false" in done.stdout and not (tmp_path / "logs/default/first/report").exists()
    original = tmp_path / "logs/default/first/full_configurations.yaml"
    alone = tmp_path / "elsewhere.yaml"
    alone.write_text(original.read_text())
    again = command("train.py", f"reproduce={alone}", "datamodule.workers=2")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "reproduced: the weights' sha256 is the same" in again.stdout


@pytest.mark.parametrize("schedule", ["time_budget", "cosine"])
def test_a_training_that_the_clock_ended_is_replayed_step_by_step(command, tmp_path, schedule):
    clock = (f"schedulers={schedule}", "trainer.max_time=00:00:00:02", "trainer.max_epochs=500")
    done = command("train.py", *SMALL[:1], *SMALL[2:], *clock, "trainer.accumulate_grad_batches=2", "run_name=first")
    assert done.returncode == 0, done.stderr
    first = stored(tmp_path / "logs/default/first")
    assert first["trainer"]["stopped_at"] == first["record"]["steps"] and first["record"]["seconds"] < 4
    assert len(first["schedulers"].get("realised", range(1000))) == 1000
    again = command("train.py", "reproduce=first")
    assert again.returncode == 0, again.stdout + again.stderr


@pytest.mark.parametrize("end", ["trainer.max_epochs=3", "trainer.max_steps=7"])
def test_the_last_epoch_is_validated_however_training_ends(command, tmp_path, end):
    rare = ("trainer.check_val_every_n_epoch=2", "trainer.max_epochs=30", end)
    done = command("train.py", "datamodule.n_samples=300", *SMALL[2:], *rare, "run_name=rare")
    assert done.returncode == 0, done.stderr
    with (tmp_path / "logs/default/rare/metrics.csv").open() as file:
        losses = [row["val/loss"] for row in csv.DictReader(file)]
    assert [bool(loss) for loss in losses] == [False, True, True]


def test_a_rerun_that_differs_says_what_differs(command, tmp_path):
    command("train.py", *SMALL, "run_name=first")
    again = command("train.py", "reproduce=first", "seed=7")
    assert again.returncode == 1
    assert "NOT reproduced" in again.stdout and "seed was 0, is 7" in again.stdout


HARD = {
    "plain": (),
    "ema, accumulation, early stopping": (
        "callback=[ema,early_stopping]",
        "trainer.accumulate_grad_batches=2",
        "callback.patience=2",
    ),
    "plateau": ("schedulers=plateau", "optimizers=sgd"),
}


@pytest.mark.parametrize("options", HARD.values(), ids=HARD.keys())
def test_a_run_killed_in_mid_epoch_and_resumed_ends_with_the_undisturbed_weights(command, launch, tmp_path, options):
    often = "callback.checkpoints.every_n_steps=3"
    long = (*SMALL, "trainer.max_epochs=5", "datamodule.batch_size=16", often, *options)
    assert command("train.py", *long, "run_name=undisturbed").returncode == 0
    folder = tmp_path / "logs/default/killed"
    killed(launch, folder, *long, after=1)
    assert not (folder / "model.json").exists()
    done = command("train.py", "resume_full_training=True")
    assert done.returncode == 0, done.stderr
    undisturbed = folder.with_name("undisturbed")
    assert weights(folder) == weights(undisturbed)
    assert (folder / "metrics.csv").read_text() == (undisturbed / "metrics.csv").read_text()
    assert (folder / "predictions_test.csv").read_text() == (undisturbed / "predictions_test.csv").read_text()


def killed(launch, folder: Path, *options: str, after: int, number: int = signal.SIGKILL) -> str:
    """Starts a run and sends it a signal once its last.ckpt has been written anew `after` times beyond the first."""
    running = launch("train.py", *options, f"run_name={folder.name}")
    written, stamps = folder / "checkpoints/last.ckpt", set[int]()
    while len(stamps) <= after and running.process.is_alive():
        stamps |= {written.stat().st_mtime_ns} if written.exists() else set()
        time.sleep(0.001)
    running.send(number)
    done = running.wait()
    assert done.returncode in (-number, 128 + number), done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_says_how_to_go_on(command, launch, tmp_path, number):
    long = (*SMALL, "trainer.max_epochs=200", "datamodule.batch_size=16")
    folder = tmp_path / "logs/default/stopped"
    output = killed(launch, folder, *long, after=1, number=number)
    assert f"resume_full_training={folder}" in output
    done = command("train.py", f"resume_full_training={folder}", "trainer.max_epochs=4")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("off", "why"), [("save_last_model=false", "save_last_model was off"), ("save_weights_only=true", "weights alone")]
)
def test_of_a_stopped_run_that_cannot_go_on_it_is_said_why(launch, tmp_path, off, why):
    long = (*SMALL, "trainer.max_epochs=200", f"callback.{off}", "run_name=stopped")
    best = tmp_path / "logs/default/stopped/checkpoints/best.ckpt"
    done = launch("train.py", *long).once(best.exists, signal.SIGTERM)
    assert done.returncode == 128 + signal.SIGTERM and "resume_full_training" not in done.stdout
    assert "it cannot go on" in done.stdout and why in done.stdout


@pytest.mark.parametrize(("number", "told"), [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "stopped by SIGTERM")])
def test_a_signal_before_the_training_begins_leaves_no_folder(launch, tmp_path, number, told):
    running = launch(
        "train.py", *SMALL, "optimizers.option=auto", "optimizers.num_epochs=200", "trainer.max_epochs=200"
    )
    done = running.once(lambda: running.says("round 1"), number)
    assert done.returncode == 128 + number and done.stderr == ""
    assert done.stdout.endswith(f"{told}; there is nothing to go on from: the same command begins again\n")
    assert not list((tmp_path / "logs" / "default").iterdir())


def test_two_processes_train_one_model(tmp_path, places):
    two = ("trainer.devices=2", "trainer.accelerator=cpu", "trainer.strategy=ddp", "callback=hard_examples")
    line = [sys.executable, "train.py", *SMALL, *two, *places]
    line += ["trainer.max_epochs=6", "datamodule.batch_size=16", "optimizers.lr=0.01"]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    folder = only_run(tmp_path / "logs")
    assert json.loads((folder / "model.json").read_text())["metrics"]["test/accuracy"] > 0.7
    assert stored(folder)["record"]["steps"] == 6 * (stored(folder)["record"]["data"]["train"] // (2 * 16))


def test_a_sweep_runs_each_point_in_a_folder_of_its_own(command, tmp_path):
    done = command("train.py", "-m", *SMALL, "trainer.max_epochs=1", "seed=1,2")
    assert done.returncode == 0, done.stderr
    folders = [file.parent for file in (tmp_path / "logs").glob("*/*/model.json")]
    assert sorted(stored(folder)["seed"] for folder in folders) == [1, 2]
    assert not (ROOT / "multirun").exists() and not (ROOT / "outputs").exists()


def test_a_sweep_is_refused_before_its_first_training_for_its_last_point(command, tmp_path):
    done = command("train.py", "-m", *SMALL[2:], "trainer.max_epochs=1,0")
    assert done.returncode == 2 and done.stderr == "error: trainer.max_epochs=0 trains nothing: use 1 or more\n"
    assert not (tmp_path / "logs").exists()


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (["active=standalone", "active.batch=5,0"], r"active\.batch=0"),
        (["trainer.tune=True", "tune.space=choice(auto,[optimizers.lr])"], r"optimizers\.lr: write it as KEY="),
        (
            ["seed=1,2", "run_name=one"],
            r"run_name=one would be 2 trainings of this sweep: leave it out, or .*s\$\{seed\}",
        ),
    ],
)
def test_what_a_point_of_a_sweep_could_not_begin_with_is_refused(line, told):
    with pytest.raises(ValueError, match=told):
        check_sweep(points(line))


@pytest.mark.parametrize("name", ["s${seed}", "s${hydra:job.num}", "s${now:%H-%M-%S}"])
def test_points_of_a_sweep_may_have_a_name_each(name):
    check_sweep(points(["seed=1,2", f"run_name='{name}'", "-m"]))


def test_a_training_that_nobody_listens_to_saves_and_ends_without_a_word(command, places, tmp_path):
    line = [sys.executable, "train.py", *SMALL, "trainer.max_epochs=500", "run_name=first", *places]
    with subprocess.Popen(line, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        while not process.stdout.readline().startswith(b"epoch"):
            pass
        process.stdout.close()
        assert process.stderr.read() == b"" and process.wait(120) == 128 + signal.SIGTERM
    folder = tmp_path / "logs/default/first"
    assert "nobody reads standard output" in (folder / "log.txt").read_text()
    done = command("train.py", "resume_full_training=first", "trainer.max_steps=600")
    assert done.returncode == 0, done.stderr


def test_weights_of_a_run_start_another_whose_classes_differ(command, tmp_path, digit_folder):
    assert command("train.py", *SMALL, "run_name=first").returncode == 0
    other = ("datamodule=folder", f"datamodule.root={digit_folder}", "datamodule/augment=none", *SMALL[1:])
    done = command("train.py", *other, "run_name=second", "resume_weights_training=first")
    assert done.returncode == 0, done.stderr
    assert "as initialised" in done.stdout and "head.weight" in done.stdout
    parent = json.loads((tmp_path / "logs/default/second/model.json").read_text())["parent"]
    assert parent == weights(tmp_path / "logs/default/first")
    shutil.rmtree(tmp_path / "logs/default/first")
    done = command("train.py", "resume_full_training=second", "trainer.max_epochs=3")
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "logs/default/second/model.json").read_text())["parent"] == parent


REFUSED = {
    "trainer.max_epoch=3": "trainer.max_epoch: there is no such key; did you mean trainer.max_epochs",
    "callback.freeze.epochs=3": "no such key in this configuration; it comes with callback=freeze",
    "optimizers.opt=auto": "did you mean optimizers.option",
    "trainer.max_epochs=one": "trainer.max_epochs='one'",
    "trainer.max_epochs=True": "not a truth value",
    "trainer.max_epochs=0": "trainer.max_epochs=0 trains nothing",
    "optimizers.lr=fast": "optimizers.lr='fast'",
    "datamodule.batch_size=big": "datamodule.batch_size='big'",
    "datamodule=folder": "datamodule.root has no value",
    "models=resnet_of_mine": "resnet_of_mine",
    "resume_full_training=nowhere": "nowhere is no run folder",
    "schedulers=time_budget": "trainer.max_time",
}


@pytest.mark.parametrize("override", REFUSED)
def test_a_mistake_is_refused_in_words_before_a_run_folder_is_made(command, tmp_path, override):
    done = command("train.py", override)
    assert done.returncode == 2
    assert REFUSED[override] in done.stderr, done.stderr
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "logs").glob("*/*"))


def test_contradictory_starting_points_are_refused(command):
    done = command("train.py", "resume_full_training=True", "resume_weights_training=a")
    assert done.returncode == 2 and "exclude each other" in done.stderr


def test_a_loss_that_is_not_a_number_stops_with_the_step_and_what_to_try(command, tmp_path):
    done = command("train.py", *SMALL, "optimizers=sgd", "optimizers.lr=1e30", "trainer.log_every_n_steps=2")
    assert done.returncode == 2
    assert "the loss is not finite at step" in done.stderr and "optimizers.lr" in done.stderr
    assert not list((tmp_path / "logs").glob("*/*/model.json"))


def test_a_corrupt_checkpoint_is_named(command, launch, tmp_path):
    folder = tmp_path / "logs/default/stopped"
    killed(launch, folder, *SMALL, "trainer.max_epochs=200", after=0, number=signal.SIGTERM)
    (folder / "checkpoints/last.ckpt").write_bytes(b"not a checkpoint")
    done = command("train.py", f"resume_full_training={folder}")
    assert done.returncode == 2
    assert "last.ckpt" in done.stderr and "Traceback" not in done.stderr


def test_when_memory_runs_out_the_batch_is_halved_and_said(command, tmp_path):
    limit = "import numpy,resource,runpy,scipy.linalg,sys,torch; square=numpy.ones((64,64)); square@square;"
    limit += "scipy.linalg.blas.dgemm(1.0,square,square);"  # both OpenBLAS have their buffers before the limit
    limit += "used=int(open('/proc/self/statm').read().split()[0])*4096;"
    limit += "resource.setrlimit(resource.RLIMIT_AS,(used+900*2**20,)*2); sys.argv=sys.argv[1:];"
    limit += "runpy.run_path('train.py',run_name='__main__')"
    options = ("datamodule.batch_size=512", "datamodule.height=96", "datamodule.width=96", "trainer.max_epochs=1",
               "trainer.speed=fp32", "trainer.threads=1", "datamodule.n_samples=800", f"logs={tmp_path / 'logs'}",
               f"datamodule.cache_dir={tmp_path / 'cache'}", "models.num_filters=8", "models.blocks=1")  # fmt: skip
    done = subprocess.run([sys.executable, "-c", limit, "train.py", *options], cwd=ROOT, capture_output=True, text=True,
                          env=os.environ | {"OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "out of memory at batch size 512: starting again with 256" in done.stdout
    trained = stored(only_run(tmp_path / "logs"))
    assert trained["datamodule"]["batch_size"] * trained["trainer"]["accumulate_grad_batches"] == 512
