"""experiment=auto against timm's train.py and Ultralytics' classify, on equal wall time, all from scratch.

    python -m benchmarks.auto FOLDER --cifar data/cifar10 --timm CHECKOUT --ultralytics VENV/bin/python --minutes 10

Rows: this project's experiment=auto; timm's resnet18 with its defaults; the same with a hand-set schedule (SGD 0.1,
no warm-up, cosine by step, resized crops of 70 to 100 %, no jitter); Ultralytics' yolo11n-cls.yaml with its automatic
optimizer, in an environment of its own. Sets: digits, CIFAR-10 (10,000 training images), and `few`: CIFAR-10 with 100
images a class. Every tool sees the same folder and pixels of the same side.

timm knows no time limit: one epoch and four are timed first (not counted), then as many as fit are trained, at least
one. With --equal cpu (for a machine that others use) peers get the CPU-seconds that experiment=auto took, Ultralytics
by epochs as well. The accuracy is that of the test images at the end; no tool chooses by them except for timm's and
Ultralytics' best checkpoints, which are not used here. Each run leaves a JSON in FOLDER and is not repeated.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from PIL import Image
from sklearn.datasets import load_digits

from benchmarks.cifar import sample_folder
from benchmarks.tools import PROJECT, TIMM_WITHOUT_WORKERS
from utils.files import write_whole

OWN = "experiment=auto"
CIFAR_TEST = 10_000
PROBED = 4  # epochs
LEAST_SIDE = 32  # that Ultralytics gets
FROM_SCRATCH = {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": os.devnull, "YOLO_OFFLINE": "True"}  # no weights but its own
HAND_SET = ["--opt", "sgd", "--lr", "0.1", "--warmup-epochs", "0", "--sched-on-updates", "--scale", "0.7", "1.0",
            "--color-jitter", "0"]  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One tool on one set. accuracy: share of the test images."""

    tool: str
    set: str
    seed: int
    accuracy: float
    wall_s: float
    cpu_s: float
    note: str
    load: float


@dataclass(frozen=True)
class Task:
    """What every tool is asked for."""

    data: Path  # with train/<class>/ and test/<class>/
    output: Path
    side: int
    classes: int
    seconds: float
    seed: int
    by_cpu: bool = False  # the seconds are of the processors


def main() -> None:
    asked = arguments()
    folder = asked.folder.absolute()
    tools: dict[str, Callable[[Task], tuple[float, str]]] = {OWN: automatic}
    if asked.timm:
        checkout = asked.timm.absolute()
        tools["timm resnet18"] = lambda task: timm(task, checkout, [])
        tools["timm resnet18, hand-set"] = lambda task: timm(task, checkout, HAND_SET)
    if asked.ultralytics:
        tools["Ultralytics yolo11n-cls"] = lambda task: ultralytics(task, asked.ultralytics)
    rows = []
    for name in asked.sets:
        data, side = made(name, folder, asked.cifar)
        for seed in asked.seeds:
            spent = 0.0
            for tool, run in tools.items():
                place = folder / f"{name}-{seed}-{tool}".replace(" ", "_").replace(",", "").replace("=", "-")
                classes = len(list((data / "train").iterdir()))
                by_cpu = asked.equal == "cpu" and tool != OWN
                seconds = spent if by_cpu else 60 * asked.minutes
                rows.append(measured(tool, name, Task(data, place, side, classes, seconds, seed, by_cpu), run))
                spent = rows[-1].cpu_s if tool == OWN else spent
                print(told(rows[-1]), flush=True)
    sys.exit(0 if kept(rows) else 1)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cifar", type=Path, help="CIFAR-10 as JPEG files below train/ and test/")
    parser.add_argument("--timm", type=Path, help="a checkout of timm's repository")
    parser.add_argument("--ultralytics", help="a python that has it")
    parser.add_argument("--sets", nargs="+", default=["digits", "cifar", "few"], choices=["digits", "cifar", "few"])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--equal", choices=["wall", "cpu"], default="wall")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    return parser.parse_args()


def made(name: str, folder: Path, cifar: Path | None) -> tuple[Path, int]:
    """The set's folder and the side of its images."""
    place = folder / "data" / name
    if not place.exists():
        if name == "digits":
            _write_digits(place)
        else:
            if cifar is None:
                raise SystemExit(f"--sets {name} needs --cifar")
            sample_folder(cifar, place, 10_000 if name == "cifar" else 1_000, CIFAR_TEST)
            (place / "val").rename(place / "test")
    return place, 8 if name == "digits" else 32


def _write_digits(place: Path) -> None:
    """Every fifth digit is a test image."""
    digits = load_digits()
    for number, (pixels, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        folder = place / ("test" if number % 5 == 0 else "train") / str(label)
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray((pixels * 15.9375).astype("uint8")).convert("RGB").save(folder / f"{number:04}.png")


def measured(tool: str, name: str, task: Task, run: Callable[[Task], tuple[float, str]]) -> Row:
    """Runs once, then remembers."""
    file = task.output / "row.json"
    if not file.exists():
        task.output.mkdir(parents=True, exist_ok=True)
        accuracy, note = run(task)
        wall, cpu = json.loads((task.output / "taken.json").read_text())
        row = Row(tool, name, task.seed, accuracy, wall, cpu, note, os.getloadavg()[0])
        write_whole(file, json.dumps(asdict(row)))
    return Row(**json.loads(file.read_text()))


def told(row: Row) -> str:
    return (
        f"{row.set:8}{row.tool:26} seed {row.seed}: {row.accuracy:7.2%} in {row.wall_s:6.1f} s, {row.cpu_s:6.1f} CPU-s "
        f"({row.note}; load {row.load:.1f})"
    )


def kept(rows: list[Row]) -> bool:
    """Whether experiment=auto is the most accurate on every set and seed."""
    cells = {(row.set, row.seed) for row in rows}
    best = {cell: max((row for row in rows if (row.set, row.seed) == cell), key=lambda row: row.accuracy)
            for cell in cells}  # fmt: skip
    return all(row.tool == OWN for row in best.values())


def timed(command: list[str], place: Path, folder: Path) -> tuple[float, float]:
    """Runs to the end; notes wall and CPU-seconds beside the output, and answers them."""
    before, began = os.times(), time.monotonic()
    with (place / "log.txt").open("w") as log:
        code = subprocess.run(
            command, cwd=folder, stdout=log, stderr=subprocess.STDOUT, env=os.environ | FROM_SCRATCH
        ).returncode
    wall, after = time.monotonic() - began, os.times()
    if code:
        raise SystemExit(f"{' '.join(command)} ended with {code}: {(place / 'log.txt').read_text()[-2000:]}")
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    write_whole(place / "taken.json", json.dumps([wall, cpu]))
    return wall, cpu


def fitting(task: Task, trained: Callable[[int, Path], tuple[float, float]]) -> int:
    """Epochs that fit, by a short training and a longer one."""
    one, more = (trained(epochs, task.output / f"probe-{epochs}")[task.by_cpu] for epochs in (1, PROBED))
    epoch = max((more - one) / (PROBED - 1), 0.01)
    return max(1, int((task.seconds - (one - epoch)) / epoch))


def automatic(task: Task) -> tuple[float, str]:
    minutes, seconds = divmod(round(task.seconds), 60)
    timed([sys.executable, "train.py", "experiment=auto", "datamodule=folder", f"datamodule.root={task.data}",
           f"trainer.max_time=00:00:{minutes:02}:{seconds:02}", f"seed={task.seed}",
           f"logs={task.output}", f"datamodule.cache_dir={task.output / 'cache'}", "run_name=run", "force=true"],
          task.output, PROJECT)  # fmt: skip
    run = task.output / "auto" / "run"
    chosen = {one["what"]: one["chosen"] for one in json.loads((run / "automatic.json").read_text())}
    note = ", ".join(chosen[what] for what in ("network and image size", "augmentation", "optimizer and rate"))
    return float(json.loads((run / "model.json").read_text())["metrics"]["test/accuracy"]), note


def timm(task: Task, checkout: Path, options: list[str]) -> tuple[float, str]:
    """As many epochs as fit after one that is timed."""

    def trained(epochs: int, place: Path) -> tuple[float, float]:
        place.mkdir(exist_ok=True)
        command = [
            sys.executable, "-c", TIMM_WITHOUT_WORKERS, str(checkout / "train.py"), str(task.data), "--val-split",
            "test", "--device", "cpu", "-j", "0", "--model", "resnet18", "--num-classes", str(task.classes),
            "--input-size", "3", str(task.side), str(task.side), "--epochs", str(epochs), "--seed", str(task.seed),
            "--cooldown-epochs", "0", "--output", str(place), *options,
        ]  # fmt: skip
        return timed(command, place, checkout)

    epochs = fitting(task, trained)
    trained(epochs, task.output)
    return _last(task.output, "*/summary.csv", "eval_top1") / 100, f"{epochs} epochs"


def ultralytics(task: Task, python: str) -> tuple[float, str]:
    """Its `time` argument, in hours, takes the place of the epochs."""

    data, side = enlarged(task.data) if task.side < LEAST_SIDE else task.data, max(task.side, LEAST_SIDE)

    def trained(length: str, place: Path) -> tuple[float, float]:
        place.mkdir(exist_ok=True)
        code = (
            f"from ultralytics import YOLO\nYOLO('yolo11n-cls.yaml').train(data={str(data)!r}, {length}, "
            f"imgsz={side}, pretrained=False, optimizer='auto', device='cpu', seed={task.seed}, "
            f"workers=0, plots=False, project={str(place)!r}, name='run', exist_ok=True)\n"
        )
        return timed([python, "-c", code], place, place)

    def by_epochs(epochs: int, place: Path) -> tuple[float, float]:
        return trained(f"epochs={epochs}", place)

    length = f"epochs={fitting(task, by_epochs)}" if task.by_cpu else f"time={task.seconds / 3600}"
    trained(length, task.output)
    rows = _column(task.output, "run/results.csv", "metrics/accuracy_top1")
    return rows[-1], f"{len(rows)} epochs"


def enlarged(data: Path) -> Path:
    """The same images scaled up: it leaves smaller ones out."""
    place = data.with_name(f"{data.name}-{LEAST_SIDE}")
    for file in () if place.exists() else sorted(data.glob("*/*/*.png")):
        target = place / file.relative_to(data)
        target.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(file) as image:
            image.resize((LEAST_SIDE, LEAST_SIDE), Image.Resampling.BICUBIC).save(target)
    return place


def _last(folder: Path, pattern: str, column: str) -> float:
    return _column(folder, pattern, column)[-1]


def _column(folder: Path, pattern: str, column: str) -> list[float]:
    file = max(folder.glob(pattern), key=lambda file: file.stat().st_mtime)
    with file.open(newline="") as lines:
        rows = [{key.strip(): value for key, value in row.items()} for row in csv.DictReader(lines)]
    return [float(row[column]) for row in rows]


if __name__ == "__main__":
    main()
