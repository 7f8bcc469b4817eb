"""Every task learns from the command line, on pictures drawn for it."""

import csv
import json
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file
from sklearn.datasets import load_digits, load_sample_image

SMALL = ("trainer.speed=fp32", "trainer.threads=1", "logger.tensorboard=null", "run_name=one", "models.num_filters=8",
         "datamodule.augment.flip=null", "datamodule.augment.crop=null", "optimizers.lr=0.01",
         "trainer.report=false")  # fmt: skip


def metrics(tmp_path: Path) -> dict:
    return json.loads((tmp_path / "logs/default/one/model.json").read_text())["metrics"]


def predictions(tmp_path: Path) -> list[dict[str, str]]:
    with (tmp_path / "logs/default/one/predictions_test.csv").open() as file:
        return list(csv.DictReader(file))


def judged(command, tmp_path: Path, data: Path, *options: str) -> tuple[str, list[dict[str, str]]]:
    """What test.py says of a checkpoint on all the images, and its rows of those that the training ended with."""
    run = tmp_path / "logs/default/one"
    done = command("test.py", f"run={run}", f"logs={tmp_path / 'logs'}", f"tester.data={data}", "tester.compare=one",
                   f"tester.checkpoint={run / 'checkpoints/best.ckpt'}", *options)  # fmt: skip
    assert done.returncode == 0, done.stderr
    [folder] = (run / "test").glob("best-*")
    assert (folder / "report/index.html").is_file()
    with (folder / "predictions.csv").open() as file:
        said = {row["path"]: row for row in csv.DictReader(file)}
    with (folder / "table.csv").open() as file:
        known = json.loads((run / "model.json").read_text())["classes"]
        assert {"", *known} == {row["class"] for row in csv.DictReader(file)}
    return done.stdout, [said[row["path"]] for row in predictions(tmp_path)]


def same(rows: list[dict[str, str]], others: list[dict[str, str]], tolerance: float = 2e-6) -> bool:
    """Equal words, and numbers that differ by no more than batches of another size make them."""
    pairs = [(one[key], other[key]) for one, other in zip(rows, others, strict=True) for key in one]
    return all(one == other or float(one) == pytest.approx(float(other), abs=tolerance) for one, other in pairs)


@pytest.fixture
def composed_digits(tmp_path):
    """A CSV of 500 pictures of 8 x 16 pixels, two digits of 0 to 3 side by side, labelled by those that are there."""
    rng = np.random.default_rng(0)
    digits = load_digits(n_class=4)
    (tmp_path / "pairs").mkdir()
    lines = ["path,label"]
    for number in range(500):
        pair = rng.integers(0, len(digits.images), 2)
        picture = np.concatenate(digits.images[pair] * 15, axis=1).astype(np.uint8)
        Image.fromarray(picture).save(tmp_path / f"pairs/{number}.png")
        lines.append(f"{number}.png,{'|'.join(sorted({str(digits.target[one]) for one in pair}))}")
    (tmp_path / "pairs/list.csv").write_text("\n".join(lines))
    return tmp_path / "pairs/list.csv"


@pytest.fixture
def blobs(tmp_path):
    """A CSV of 400 pictures of 16 x 16 pixels and where their bright spot is: 1000 + pixels, hundreds of pixels."""
    rng = np.random.default_rng(0)
    (tmp_path / "blobs").mkdir()
    lines, (down, across) = ["path,across,down", "nothing.png,,nan"], np.mgrid[:16, :16]
    Image.new("L", (16, 16)).save(tmp_path / "blobs/nothing.png")
    for number in range(400):
        x, y = rng.uniform(3, 13, 2)
        spot = 200 * np.exp(-((across - x) ** 2 + (down - y) ** 2) / 6) + rng.uniform(0, 40, (16, 16))
        Image.fromarray(spot.astype(np.uint8)).save(tmp_path / f"blobs/{number}.png")
        lines.append(f"{number}.png,{1000 + x:.3f},{y / 100:.5f}")
    (tmp_path / "blobs/list.csv").write_text("\n".join(lines))
    return tmp_path / "blobs/list.csv"


def test_multilabel_learns_which_digits_are_in_a_picture(command, tmp_path, composed_digits):
    wanted = ("task.metrics=[AveragePrecision,F1Score,Accuracy]", "task.class_weights=balanced", "trainer.max_epochs=8")
    done = command(
        "train.py", "task=multilabel", "datamodule=csv", f"datamodule.file={composed_digits}", *SMALL, *wanted
    )
    assert done.returncode == 0, done.stderr
    assert metrics(tmp_path)["test/map"] > 0.97 and "mAP" in done.stdout
    header = (tmp_path / "logs/default/one/metrics.csv").read_text().splitlines()[0]
    assert {"val/average_precision", "val/f1_score", "val/accuracy"} <= set(header.split(","))
    rows = predictions(tmp_path)
    exact = np.mean([row["label"] == row["predicted"] for row in rows])
    assert exact == pytest.approx(metrics(tmp_path)["test/exact_match"]) and exact > 0.8
    done = command(
        "predict.py", f"source={composed_digits.parent}", f"logs={tmp_path / 'logs'}", f"output={tmp_path}/p.csv"
    )
    assert done.returncode == 0, done.stderr
    with (tmp_path / "p.csv").open() as file:
        said = {row["path"]: row["predicted"] for row in csv.DictReader(file)}
    assert all(said[row["path"]] == row["predicted"] for row in rows)
    printed, again = judged(command, tmp_path, composed_digits, "tester.tta=[shift]")
    assert "5 views (shifts of 1 px)" in printed and "mAP +0 points" in printed
    assert [row["label"] for row in again] == [row["label"] for row in rows]


def test_regression_learns_targets_of_any_unit(command, tmp_path, blobs):
    refused = command("train.py", "task=regression", "datamodule=csv", f"datamodule.file={blobs}", *SMALL,
                      "datamodule.label_column=[across,down]")  # fmt: skip
    assert refused.returncode == 2 and "nothing.png has no value for across" in refused.stderr
    chosen = (
        "datamodule.on_bad_image=skip",
        "datamodule.label_column=[across,down]",
        "trainer.max_epochs=20",
        "task/loss=huber",
        "models.dropout=0.0",
    )
    done = command("train.py", "task=regression", "datamodule=csv", f"datamodule.file={blobs}", *SMALL, *chosen)
    assert done.returncode == 0, done.stderr
    assert "nothing.png" in (tmp_path / "logs/default/one/skipped.csv").read_text()
    assert metrics(tmp_path)["test/r2"] > 0.9 and "R²" in done.stdout
    rows = predictions(tmp_path)
    errors = {
        name: [abs(float(row[name]) - float(row[f"predicted:{name}"])) for row in rows] for name in ("across", "down")
    }
    assert np.mean(errors["across"]) < 1 and np.mean(errors["down"]) < 0.01
    done = command("predict.py", f"source={blobs}", f"logs={tmp_path / 'logs'}", f"output={tmp_path}/p.csv")
    assert done.returncode == 0, done.stderr
    with (tmp_path / "p.csv").open() as file:
        said = {row["path"]: row["across"] for row in csv.DictReader(file)}
    assert all(float(said[row["path"]]) == pytest.approx(float(row["predicted:across"]), abs=1e-3) for row in rows)
    printed, again = judged(command, tmp_path, blobs)
    assert "RMSE +0 (+0 – +0): no difference was found" in printed and same(again, rows, 1e-3)
    refused = command("train.py", "resume_weights_training=one", "datamodule.n_samples=200", *SMALL[:2])
    assert refused.returncode == 2
    assert "model.safetensors holds a regression's weights, this run is of task=classification" in refused.stderr


@pytest.fixture
def shapes(tmp_path):
    """150 crops of 36 x 36 pixels out of photos, a disc (1, bright) and a square (2, dark) on each, in any colours."""
    rng = np.random.default_rng(0)
    photos = [load_sample_image(name) for name in ("china.jpg", "flower.jpg")]
    down, across = np.mgrid[:36, :36]
    for folder in ("images", "masks"):
        (tmp_path / "shapes" / folder).mkdir(parents=True)
    for number in range(150):
        photo = photos[number % 2]
        top, left = rng.integers(0, photo.shape[0] - 36), rng.integers(0, photo.shape[1] - 36)
        picture, mask = photo[top : top + 36, left : left + 36].copy(), np.zeros((36, 36), np.uint8)
        for kind in (1, 2):
            (y, x), radius = rng.uniform(8, 28, 2), rng.uniform(5, 8)
            away = np.hypot(down - y, across - x) if kind == 1 else np.maximum(abs(down - y), abs(across - x))
            mask[away < radius] = kind
            picture[away < radius] = rng.integers(0, 90, 3) + (160 if kind == 1 else 0)
        Image.fromarray(picture).save(tmp_path / f"shapes/images/{number}.jpg", quality=95)
        Image.fromarray(mask).save(tmp_path / f"shapes/masks/{number}.png")
    return tmp_path / "shapes"


def segmenting(shapes: Path, *options: str) -> tuple[str, ...]:
    """A command line for a network of 100,000 weights."""
    net = ("models.encoder=test_resnet", "models.encoder_depth=3", "models.decoder_channels=[32,16,8]")
    data = ("datamodule=masks", f"datamodule.root={shapes}", "datamodule.class_names=[photo,disc,square]")
    return ("train.py", "task=segmentation", *data, *net, "models.pretrained=false", *SMALL[:3], "optimizers.lr=0.01",
            "datamodule.batch_size=8", *options)  # fmt: skip


def test_segmentation_learns_shapes_on_photos(command, tmp_path, shapes):
    packed = "+callback.package._target_=serving.packing.Pack"  # as a job has it
    done = command(*segmenting(shapes, "trainer.max_epochs=8", "run_name=one", packed))
    assert done.returncode == 0, done.stderr
    assert metrics(tmp_path)["test/mean_iou"] > 0.6 and "Mean IoU" in done.stdout
    assert np.mean([float(row["iou:disc"]) for row in predictions(tmp_path)]) > 0.5
    shown = load_file(tmp_path / "logs/default/one/golden.safetensors")["masks"]
    assert len(shown) == len(predictions(tmp_path)) and (shown[:, 3] > 1 / 3).all() and (shown[:, 3] <= 1).all()
    assert shown[:, :3].sum(1) == pytest.approx(1, abs=1e-5) and 0.02 < shown[:, 1].mean() < 0.5
    done = command("predict.py", f"source={shapes / 'images'}", f"logs={tmp_path / 'logs'}", f"output={tmp_path}/p.csv")
    assert done.returncode == 0, done.stderr
    for row in predictions(tmp_path):
        name = Path(row["path"]).stem
        said, truth = (
            np.asarray(Image.open(tmp_path / file)) for file in (f"p_masks/{name}.jpg.png", f"shapes/masks/{name}.png")
        )
        assert (said == truth).mean() == pytest.approx(float(row["right"]), abs=2e-3)
    printed, again = judged(command, tmp_path, shapes, "tester.measure_speed=True")
    assert "Mean IoU +0 points" in printed and "Latency p99" in printed and same(again, predictions(tmp_path), 1e-3)


@pytest.mark.soak
def test_a_segmentation_killed_in_mid_epoch_goes_on_to_the_undisturbed_weights(command, launch, tmp_path, shapes):
    long = segmenting(shapes, "trainer.max_epochs=3", "datamodule.n_samples=80", "callback.checkpoints.every_n_steps=2",
                      "callback=freeze")  # fmt: skip
    assert command(*long, "run_name=undisturbed").returncode == 0
    folder = tmp_path / "logs/default/killed"
    running, stamps = launch(*long, "run_name=killed"), set()
    while len(stamps) < 3 and running.process.is_alive():
        written = folder / "checkpoints/last.ckpt"
        stamps |= {written.stat().st_mtime_ns} if written.exists() else set()
        time.sleep(0.001)
    running.send(signal.SIGKILL)
    running.wait()
    assert not (folder / "model.json").exists()
    done = command("train.py", "resume_full_training=True")
    assert done.returncode == 0, done.stderr
    manifests = [json.loads((folder.with_name(name) / "model.json").read_text()) for name in ("killed", "undisturbed")]
    assert manifests[0]["weights_sha256"] == manifests[1]["weights_sha256"]
