"""Testing as a user does it: the command, what it leaves, what it refuses."""

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import yaml
from PIL import Image
from safetensors.torch import save_file

ROOT = Path(__file__).parent.parent
SMALL = ("datamodule=folder", "datamodule.height=12", "datamodule.width=12", "trainer.speed=fp32", "trainer.threads=1",
         "models.num_filters=4", "models.blocks=1", "logger.tensorboard=null", "trainer.progress=false",
         "trainer.report=false")  # fmt: skip


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    """90 pictures of three classes, brighter from class to class, with much noise."""
    root, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for number in range(90):
        pixels = np.clip(rng.normal(60 + 40 * (number % 3), 60, (14, 12, 3)), 0, 255).astype(np.uint8)
        (root / "abc"[number % 3]).mkdir(exist_ok=True)
        Image.fromarray(pixels).save(root / "abc"[number % 3] / f"{number:02}.png")
    return root


@pytest.fixture(scope="module")
def logs(tmp_path_factory, images) -> Path:
    """Two finished runs, of one epoch and of six."""
    place = tmp_path_factory.mktemp("runs")
    line = ("train.py", "-m", *SMALL, f"datamodule.root={images}", f"logs={place / 'logs'}", "trainer.max_epochs=1,6",
            f"datamodule.cache_dir={place / 'cache'}")  # fmt: skip
    subprocess.run([sys.executable, *line], cwd=ROOT, check=True, capture_output=True)
    for file in (place / "logs/default").glob("*/full_configurations.yaml"):
        epochs = yaml.safe_load(file.read_text())["trainer"]["max_epochs"]
        file.parent.rename(file.parent.with_name({1: "short", 6: "long"}[epochs]))
    return place / "logs"


def table(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as text:
        return list(csv.DictReader(text))


def test_the_figures_are_those_that_the_training_ended_with(command, logs):
    run, before = logs / "default/long", sorted(logs.glob("*/*"))
    done = command("test.py", f"run={run}", f"logs={logs}")
    assert done.returncode == 0, done.stderr
    assert (run / "test/predictions.csv").read_bytes() == (run / "predictions_test.csv").read_bytes()
    metrics = json.loads((run / "model.json").read_text())["metrics"]
    found = {line["figure"]: float(line["value"]) for line in table(run / "test/table.csv") if not line["class"]}
    assert found == {name.removeprefix("test/"): value for name, value in metrics.items() if name.startswith("test/")}
    assert {line["class"] for line in table(run / "test/table.csv")} == {"", "a", "b", "c"}
    assert all(title in done.stdout for title in ("Accuracy", "Balanced accuracy", "ECE, scaled", "Recall, b"))
    assert (run / "test/report/index.html").is_file() and str(run / "test/report/index.html") in done.stdout
    assert sorted(logs.glob("*/*")) == before


def test_other_images_several_views_speed_comparison_and_label_errors_in_one_command(command, logs, images):
    done = command("test.py", "run=long", f"logs={logs}", f"tester.data={images}", "tester.tta=[flip,shift]",
                   "tester.measure_speed=True", "tester.trt_opt=True", "engine=openvino", "engine.type=fp32",
                   "engine.threads=1", "tester.compare=short",
                   "tester.label_errors=True", "datamodule.batch_size=30")  # fmt: skip
    assert done.returncode == 0, done.stderr
    [folder] = (logs / "default/long/test").glob(f"{images.name}-*")
    headings = {line["data"] for line in table(folder / "table.csv")}
    assert "test, 10 views (flip and shifts of 1 px)" in headings and "10 views" in done.stdout
    assert len(table(folder / "predictions.csv")) == len(table(folder / "label_errors.csv")) == 90
    assert "Latency p99" in done.stdout and "images/s in batches of 30" in done.stdout
    assert "there is no validation split" in done.stdout  # these are other images than the run's
    rows = [row for row in table(folder / "engines.csv") if row["engine"] == "openvino fp32"]
    assert [row["batch"] for row in rows] == ["1", "8", "32"] and {row["precision"] for row in rows} == {"fp32"}
    assert float(rows[0]["agreement"]) > 0.99 and float(rows[0]["peak_mib"]) > 10 and float(rows[0]["size_mib"]) > 0.01
    assert (folder / "engines.png").is_file() and "times as fast as eager fp32" in done.stdout
    assert "exact McNemar" in done.stdout and "on 90 images" in done.stdout and "with a chance of" in done.stdout
    page = (folder / "report/index.html").read_text()
    assert "exact McNemar" in page and "Latency p99" in page  # the page says what the terminal does
    assert not (logs / "default/short/test").exists()


def test_images_left_out_are_listed_beside_the_figures(command, logs, images, tmp_path):
    shutil.copytree(images, tmp_path / "data")
    (tmp_path / "data/a/broken.png").write_bytes(b"")
    done = command("test.py", f"run={logs / 'default/long'}", f"tester.data={tmp_path / 'data'}",
                   f"tester.output={tmp_path / 'out'}", "datamodule.on_bad_image=skip")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert table(tmp_path / "out/skipped.csv") == [{"path": "a/broken.png", "reason": "is empty"}]
    assert str(tmp_path / "out/skipped.csv") in done.stdout and len(table(tmp_path / "out/predictions.csv")) == 90


def test_an_engine_that_cannot_be_had_is_refused_with_the_command_that_installs_it(command, logs):
    done = command("test.py", f"run={logs / 'default/long'}", "tester.trt_opt=True", "engine=tensorrt")
    assert done.returncode == 0, done.stderr
    said = next(line for line in done.stdout.splitlines() if line.startswith("refused"))
    assert "tensorrt fp16: needs" in said and ("NVIDIA GPU" in said or "requirements-tensorrt.txt" in said)
    assert "images of the validation split" in done.stdout and "eager fp32 is the fastest of 1" in done.stdout


def test_views_are_those_that_training_made(command, logs):
    done = command("test.py", f"run={logs / 'default/long'}", "tester.tta=True")
    assert done.returncode == 0, done.stderr
    assert "10 views (flip and shifts of 1 px)" in done.stdout  # the folder's augmentation mirrors and shifts


def test_a_checkpoint_of_a_run_is_tested_in_place_of_its_model_even_before_the_run_has_one(command, logs, tmp_path):
    run = tmp_path / "logs/default/unfinished"
    shutil.copytree(logs / "default/long", run)
    (run / "model.json").unlink()
    done = command("test.py", f"tester.checkpoint={run / 'checkpoints/best.ckpt'}")
    assert done.returncode == 0, done.stderr
    said, known = table(run / "test/best/predictions.csv"), table(run / "predictions_test.csv")
    assert said == known  # probabilities, too: the temperature is fitted on the run's validation split


def test_a_timm_network_with_a_file_of_weights_needs_no_run(command, images, tmp_path):
    torch.manual_seed(0)
    net = timm.create_model("test_resnet", num_classes=3)
    save_file(net.state_dict(), tmp_path / "weights.safetensors")
    line = ("test.py", "run=null", "models=test_resnet", f"tester.data={images}", f"tester.output={tmp_path / 'out'}",
            f"datamodule.cache_dir={tmp_path / 'cache'}", f"logs={tmp_path / 'logs'}")  # fmt: skip
    done = command(*line, f"tester.checkpoint={tmp_path / 'weights.safetensors'}")
    assert done.returncode == 0, done.stderr
    assert "test_resnet" in done.stdout and len(table(tmp_path / "out/predictions.csv")) == 90
    assert not (tmp_path / "logs").exists()


def without_model(place: Path, logs: Path) -> tuple[str, ...]:
    shutil.copytree(logs / "default/long", place / "unfinished")
    (place / "unfinished/model.json").unlink()
    return (f"run={place / 'unfinished'}",)


def of_two_classes(place: Path, logs: Path) -> tuple[str, ...]:
    state = torch.load(logs / "default/long/checkpoints/best.ckpt", weights_only=True)
    for name in ("net.head.weight", "net.head.bias"):
        state["state_dict"][name] = state["state_dict"][name][:2].clone()
    torch.save(state, place / "two.ckpt")
    return (f"tester.checkpoint={place / 'two.ckpt'}",)


def with_unknown_class(place: Path, logs: Path) -> tuple[str, ...]:
    for name in ("a", "zebra"):
        (place / "data" / name).mkdir(parents=True)
        Image.new("RGB", (12, 12), len(name)).save(place / "data" / name / "1.png")
    return (f"tester.data={place / 'data'}",)


def with_broken_image(place: Path, logs: Path) -> tuple[str, ...]:
    (place / "data/a").mkdir(parents=True)
    (place / "data/a/1.png").write_bytes(b"")
    return (f"tester.data={place / 'data'}",)


def with_empty_folder(place: Path, logs: Path) -> tuple[str, ...]:
    (place / "data").mkdir()
    return (f"tester.data={place / 'data'}",)


def of_another_task(place: Path, logs: Path) -> tuple[str, ...]:
    shutil.copytree(logs / "default/long", place / "other")
    manifest = json.loads((place / "other/model.json").read_text()) | {"task": "multilabel"}
    (place / "other/model.json").write_text(json.dumps(manifest))
    return (f"run={place / 'other'}",)


REFUSED = {
    "run without a model": (without_model, "holds no model"),
    "checkpoint of another class count": (of_two_classes, "was trained on 2 classes, the model to be tested has 3"),
    "model of another task": (of_another_task, "is a model of task=multilabel, full_configurations.yaml beside"),
    "unknown class": (with_unknown_class, "classes that the model does not know: zebra; it knows a, b, c"),
    "broken image": (with_broken_image, "a/1.png is empty"),
    "empty folder": (with_empty_folder, "no image in it"),
    "no such data": (lambda *_: ("tester.data=nowhere",), "tester.data=nowhere: there is no such folder or file"),
    "no such checkpoint": (lambda *_: ("tester.checkpoint=no.ckpt",), "no.ckpt: there is no such file"),
    "no such run": (lambda *_: ("run=nobody",), "nobody is no run folder"),
    "misspelt key": (lambda *_: ("tester.mesure_speed=True",), "did you mean measure_speed"),
    "misspelt key of the run": (lambda *_: ("datamodule.bach_size=2",), "did you mean datamodule.batch_size"),
    "unknown view": (lambda *_: ("tester.tta=[spin]",), "there is no view 'spin'; use flip, shift"),
    "another group": (lambda *_: ("models=resnet18",), "the stored run has its own models"),
    "unknown engine": (lambda *_: ("engine=warp",), "engine=warp: engine has no such option"),
    "misspelt key of the engine": (lambda *_: ("engine=openvino", "engine.tpye=int8"), "did you mean type"),
    "nothing to test on": (lambda *_: ("run=null", "models=resnet18"), "name labelled images with tester.data"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", REFUSED)
def test_a_mistake_is_refused_in_words(command, logs, tmp_path, mistake):
    arguments, said = REFUSED[mistake]
    done = command("test.py", f"logs={logs}", *arguments(tmp_path, logs))
    assert done.returncode == 2 and said in done.stderr, done.stdout + done.stderr
    assert "Traceback" not in done.stderr and "Error executing job" not in done.stderr


def test_both_main_files_have_the_same_groups_but_for_each_commands_own():
    mains = [yaml.safe_load((ROOT / "configuration" / name).read_text()) for name in ("configs.yaml", "test.yaml")]
    first, second = ({str(item) for item in main["defaults"]} for main in mains)
    own = tuple(f"{{'{group}'" for group in ("tune", "active", "trigger", "promotion", "engine"))
    assert [group for group in first ^ second if not group.startswith(own)] == []
