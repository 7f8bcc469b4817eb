"""Prediction as a user runs it: the command, what it leaves, what it refuses, what a kill costs."""

import csv
import json
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SMALL = (
    *("datamodule=folder", "datamodule.height=24", "datamodule.width=20", "datamodule.crop=0.9"),
    *("models.num_filters=4", "models.blocks=1", "trainer.max_epochs=1", "trainer.speed=fp32", "trainer.threads=1"),
    *("logger.tensorboard=null", "trainer.report=false", "run_name=first"),
)


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    """Photos of many sizes in three classes, brighter from class to class."""
    root, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for number in range(60):
        height, width = rng.integers(20, 50, 2).tolist()
        pixels = rng.integers(0, 86, (height, width, 3), dtype=np.uint8) + np.uint8(85 * (number % 3))
        (root / "abc"[number % 3]).mkdir(exist_ok=True)
        Image.fromarray(pixels).save(root / "abc"[number % 3] / f"{number:02}.jpg")
    return root


def table(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as text:
        return list(csv.DictReader(text))


def test_probabilities_are_those_of_the_runs_own_evaluation(command, tmp_path, images):
    done = command("train.py", *SMALL, f"datamodule.root={images}")
    assert done.returncode == 0, done.stderr
    run, before = tmp_path / "logs/default/first", sorted(tmp_path.rglob("*"))
    done = command(
        "predict.py", f"source={images}", f"logs={tmp_path / 'logs'}", f"output={tmp_path / 'a.csv'}", "top_k=3"
    )
    assert done.returncode == 0, done.stderr
    assert "60 images" in done.stdout and f"{tmp_path / 'a.csv'}" in done.stdout
    assert sorted(set(tmp_path.rglob("*")) - set(before) - set(tmp_path.glob("*.txt"))) == [tmp_path / "a.csv"]
    answers = {row["path"]: row for row in table(tmp_path / "a.csv")}
    assert json.loads((run / "model.json").read_text())["temperature"] != 1  # so that scaled and raw ones differ
    evaluated = table(run / "predictions_test.csv")
    assert len(evaluated) > 3 and len(answers) == 60
    for row in evaluated:
        answer = answers[row["path"]]
        assert answer["predicted"] == row["predicted"] and answer["class_2"] != row["predicted"]
        assert float(answer["probability"]) == pytest.approx(float(row["probability"]), abs=2e-6)
        assert float(answer["probability_2"]) == pytest.approx(float(row[f"p:{answer['class_2']}"]), abs=2e-6)


@pytest.fixture
def run_folder(tmp_path):
    """A run folder whose model file was written by hand, with the fixtures of the models' tests not at hand here."""
    import torch

    from models.model_file import Manifest, save_model, weights_sha256
    from utils.build import build

    node = {"_target_": "models.simple_cnn.SimpleCnn", "num_filters": 4, "blocks": 1, "num_classes": 2, "channels": 3,
            "height": 8, "width": 8}  # fmt: skip
    torch.manual_seed(0)
    net, shape = build(node), {"height": 8, "width": 8, "channels": 3, "mean": (0.5,) * 3, "std": (0.5,) * 3}
    facts = {"weights_sha256": weights_sha256(net.state_dict()), "parameters": 0, "metrics": {}, "preprocessing": shape}
    manifest = Manifest(task="classification", architecture=node, classes=["a", "b"], data_digest="",
                        configuration_digest="", **facts)  # fmt: skip
    save_model(tmp_path / "run", net, manifest)
    return tmp_path / "run"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_call_killed_on_its_way_goes_on_and_ends_with_the_undisturbed_table(
    launch, tmp_path, images, run_folder, number
):
    files = sorted(images.rglob("*.jpg"))[:24]
    (tmp_path / "in").mkdir()
    for file in files:
        (tmp_path / "in" / file.name).write_bytes(file.read_bytes())
    last = max((tmp_path / "in").iterdir())
    line = ("predict.py", f"source={tmp_path / 'in'}", f"run={run_folder}", "batch_size=4", "workers=1", "device=cpu")
    undisturbed, output = tmp_path / "undisturbed.csv", tmp_path / "answers.csv"
    assert launch(*line, f"output={undisturbed}").wait().returncode == 0
    content = last.read_bytes()
    last.unlink()
    os.mkfifo(last)  # reading it waits, so that the call is stopped at a known place
    running, journal = launch(*line, f"output={output}"), tmp_path / "answers.csv.journal"
    until = time.monotonic() + 60
    while not journal.exists() and time.monotonic() < until:
        time.sleep(0.01)
    time.sleep(0.2)
    running.send(number)
    if number == signal.SIGINT:
        time.sleep(0.2)
        last.write_bytes(content)
    done = running.wait(60)
    assert done.returncode == (130 if number == signal.SIGINT else -number), done.stderr
    assert not output.exists()
    last.unlink()
    last.write_bytes(content)
    done = launch(*line, f"output={output}").wait()
    assert done.returncode == 0 and "going on after the" in done.stdout, done.stdout + done.stderr
    assert output.read_bytes() == undisturbed.read_bytes()
    assert not journal.exists() and not list(tmp_path.glob("*.part"))


REFUSED = {
    "no source": ((), "source has no value: give source=…"),
    "no such source": (("source=nowhere", "run={run}"), "source=nowhere: there is no such file or folder"),
    "misspelt key": (("source=.", "treshold=1"), "did you mean threshold"),
    "wrong type": (("source=.", "top_k=many"), "top_k='many'"),
    "no probability": (("source=.", "threshold=2"), "threshold=2"),
    "unknown run": (("source=.", "run=nobody"), "nobody is no run folder"),
    "unknown device": (("source={images}", "run={run}", "device=abacus"), "device=abacus cannot be used"),
    "no image": (("source=tests", "run={run}"), "no image in it; files ending in .bmp"),
    "output below a file": (("source={images}", "run={run}", "output=predict.py/a.csv"), "cannot be written"),
    "too many classes": (("source={images}", "run={run}", "top_k=3"), "top_k=3: the model knows 2 classes"),
}


@pytest.mark.parametrize("mistake", REFUSED)
def test_a_mistake_is_refused_in_words(command, tmp_path, images, run_folder, mistake):
    line, said = REFUSED[mistake]
    filled = [argument.format(images=images, run=run_folder) for argument in line]
    output = () if any(argument.startswith("output=") for argument in line) else (f"output={tmp_path / 'a.csv'}",)
    done = command("predict.py", *filled, *output, f"logs={tmp_path / 'logs'}")
    assert done.returncode == 2 and said in done.stderr, done.stderr
    assert "Traceback" not in done.stderr and "Error executing job" not in done.stderr
    assert not list(tmp_path.glob("a.csv*"))


def test_an_unfinished_run_is_refused_with_how_to_finish_it(command, tmp_path, images):
    run = tmp_path / "logs/default/first"
    run.mkdir(parents=True)
    (run / "full_configurations.yaml").write_text("seed: 0\n")
    done = command("predict.py", f"source={images}", f"run={run}", f"output={tmp_path / 'a.csv'}")
    assert done.returncode == 2 and f"{run} holds no model" in done.stderr and "resume_full_training" in done.stderr
