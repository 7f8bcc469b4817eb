"""Several classes an image, end to end: which digit it is, and in which colour, on one trunk."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

COLOURS = {"blue": (0.1, 0.3, 1.0), "green": (0.2, 1.0, 0.2), "red": (1.0, 0.2, 0.1)}
HEADS = "task.num_classes={digit: 4, colour: 3}"
SMALL = ("trainer.speed=fp32", "trainer.threads=1", "logger.tensorboard=null", "models.num_filters=8",
         "datamodule.augment.flip=null", "optimizers.lr=0.01")  # fmt: skip


def write_digits(folder: Path, count: int, seed: int = 0, lines: tuple[str, ...] = ()) -> Path:
    """Digits from 0 to 3, each in one of three colours, and a CSV that tells both."""
    rng, digits = np.random.default_rng(seed), load_digits(n_class=4)
    folder.mkdir()
    told = ["path,digit,colour", *lines]
    for number in range(count):
        one, colour = rng.integers(len(digits.images)), rng.choice(list(COLOURS))
        picture = digits.images[one][..., None] / 16 * np.array(COLOURS[colour]) * 255
        Image.fromarray(picture.astype(np.uint8)).save(folder / f"{number}.png")
        told.append(f"{number}.png,{digits.target[one]},{colour}")
    (folder / "list.csv").write_text("\n".join(told))
    return folder / "list.csv"


def table(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as text:
        return list(csv.DictReader(text))


@pytest.fixture
def coloured(tmp_path):
    return write_digits(tmp_path / "digits", 400)


def test_two_heads_learn_digit_and_colour_and_each_is_judged_predicted_and_reported(command, tmp_path, coloured):
    run = tmp_path / "logs/default/one"
    line = ("train.py", "datamodule=csv", HEADS, *SMALL, "trainer.max_epochs=8")
    mixup = "+datamodule.augment.mixup={_target_: datamodule.mixing.Mixup, alpha: 0.2}"
    done = command(*line, f"datamodule.file={coloured}", mixup, "task.metrics=[Accuracy,F1Score]",
                   "task.class_weights=balanced", "task.head_weights={colour: 0.5}", "run_name=one")  # fmt: skip
    assert done.returncode == 0, done.stderr
    manifest = json.loads((run / "model.json").read_text())
    assert manifest["task"] == "heads" and len(manifest["temperature"]) == 2
    assert manifest["classes"] == [*(f"digit={k}" for k in range(4)), *(f"colour={name}" for name in COLOURS)]
    figures = manifest["metrics"]
    assert figures["test/digit/accuracy"] > 0.9 and figures["test/colour/accuracy"] > 0.95
    assert "Exact match" in done.stdout and "Accuracy, digit" in done.stdout and "ECE, scaled, colour" in done.stdout
    header = (run / "metrics.csv").read_text().splitlines()[0].split(",")
    assert {"val/digit/accuracy", "val/digit/f1_score", "val/colour/accuracy"} <= set(header)
    rows = table(run / "predictions_test.csv")
    both = [
        row["label:digit"] == row["predicted:digit"] and row["label:colour"] == row["predicted:colour"] for row in rows
    ]
    assert np.mean(both) == pytest.approx(figures["test/exact_match"])
    page = (run / "report/index.html").read_text()
    assert "Confusion: digit" in page and "Calibration: colour" in page and "Data: colour" in page
    assert (run / "report/digit_confusion_share.png").is_file()

    done = command("predict.py", f"source={coloured.parent}", f"logs={tmp_path / 'logs'}", f"output={tmp_path}/p.csv",
                   "top_k=2")  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = {row["path"]: row for row in table(tmp_path / "p.csv")}
    assert {"class_2:digit", "probability_2:colour"} <= set(next(iter(said.values())))
    for row in rows:
        for key in ("predicted:digit", "predicted:colour", "probability:digit", "probability:colour"):
            assert said[row["path"]][key] == row[key]

    other = write_digits(tmp_path / "other", 60, seed=1)
    assert command(*line[:-1], f"datamodule.file={coloured}", "trainer.max_epochs=1", "run_name=short").returncode == 0
    done = command("test.py", f"run={run}", f"tester.data={other}", "tester.compare=short", "tester.export=onnx",
                   f"logs={tmp_path / 'logs'}")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "all heads: one" in done.stdout and "digit: one" in done.stdout and "exact McNemar" in done.stdout
    [folder] = (run / "test").glob("list-*")
    assert {line["class"] for line in table(folder / "table.csv")} >= {"digit=0", "colour=red"}


MISTAKES = {
    "counts": (HEADS.replace("4", "5"), (), "has the classes {'digit': 4, 'colour': 3}, task.num_classes says"),
    "column": ("task.num_classes={digit: 4, shade: 3}", (), "has no column 'shade'"),
    "empty cell": (HEADS, ("x.png,,red",), "x.png has no digit"),
    "unknown head": (HEADS, ("task.head_weights={shade: 2.0}",), "there is no head 'shade'; use digit, colour"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_what_the_heads_and_the_table_disagree_in_is_named(command, tmp_path, mistake):
    heads, more, said = MISTAKES[mistake]
    lines = tuple(line for line in more if "," in line)
    file = write_digits(tmp_path / "digits", 60, lines=lines)
    Image.new("RGB", (8, 8)).save(file.parent / "x.png")
    options = [option for option in more if "," not in option]
    done = command("train.py", "datamodule=csv", f"datamodule.file={file}", heads, *SMALL, *options)
    assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr, done.stderr


def test_heads_need_a_table(command, digit_folder):
    done = command("train.py", "datamodule=folder", f"datamodule.root={digit_folder}", HEADS)
    assert done.returncode == 2 and "Folder gives classes, but the task learns heads" in done.stderr
