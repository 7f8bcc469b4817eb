"""This project's benchmark.py against timm's own, on the same models, CPU, float32, eager, batch 1 and 32.

    python -m benchmarks.benchmark_vs_timm CHECKOUT [--threads 1] [--models resnet18,…] [--batches 1,32]

CHECKOUT: timm's repository, whose benchmark.py is not in its wheel. The two take turns after every few models. Prints
images/s of both for each model, their ratio, its median, and the wall time of both; then how many rows are left of a
list in which one model refuses its image size unless it is told it when it is made.
"""

import argparse
import csv
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks.tools import PROJECT
from tuning.speed_table import read_rows

MODELS = (
    "resnet18", "resnet34", "resnet50", "resnet26d", "mobilenetv3_small_100", "mobilenetv3_large_100",
    "mobilenetv2_100", "efficientnet_b0", "efficientnet_lite0", "regnety_004", "regnetx_008", "convnext_atto",
    "convnext_femto", "vit_tiny_patch16_224", "deit_tiny_patch16_224", "mobilevit_xs", "densenet121", "ghostnet_100",
    "edgenext_x_small", "repvgg_a0",
)  # fmt: skip
SIZE = 224
TURN = 4  # models
REFUSES = ("vit_tiny_patch16_224", 96)  # a size at which timm's list ends with an AssertionError
Speeds = dict[tuple[str, int], float]


def main() -> None:
    asked = arguments()
    script = Path(asked.checkout) / "benchmark.py"
    if not script.is_file():
        print(f"skipped: {script} is not there; give a checkout of huggingface/pytorch-image-models")
        return
    models, batches = asked.models.split(","), [int(batch) for batch in asked.batches.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs, our_s, their_s = in_turns(script, models, batches, asked.threads, Path(folder))
        report(models, batches, ours, theirs)
        print(f"wall time: {our_s:.0f} s here, {their_s:.0f} s by timm, ratio {our_s / their_s:.2f}")
        print(f"rows that survive a model which refuses its size: {survivors(script, asked.threads, Path(folder))}")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--batches", default="1,32")
    return parser.parse_args()


def in_turns(
    script: Path, models: list[str], batches: list[int], threads: int, folder: Path
) -> tuple[Speeds, Speeds, float, float]:
    """Speeds and seconds, here and by timm."""
    ours, theirs, our_s, their_s = Speeds(), Speeds(), 0.0, 0.0
    for number in range(0, len(models), TURN):
        some, place = models[number : number + TURN], folder / str(number)
        place.mkdir()
        found, taken = of_this_project(some, batches, threads, place)
        ours, our_s = ours | found, our_s + taken
        found, taken = of_timm(script, some, batches, threads, place)
        theirs, their_s = theirs | found, their_s + taken
    return ours, theirs, our_s, their_s


def of_this_project(models: list[str], batches: list[int], threads: int, folder: Path) -> tuple[Speeds, float]:
    table = folder / "ours.csv"
    taken = seconds(ours(models, batches, threads, SIZE, table), threads)
    return {(row.model, row.batch): row.images_per_s for row in read_rows(table) if row.images_per_s}, taken


def ours(models: list[str], batches: list[int], threads: int, size: int, table: Path) -> list[str]:
    return [
        sys.executable, "benchmark.py", f"benchmark.models=[{','.join(models)}]", f"benchmark.threads={threads}",
        "--engines", "eager", "--batch-size", ",".join(map(str, batches)), "--image-size", str(size),
        "--file-location", str(table), "benchmark.published=null", "benchmark.device=cpu", "--time-limit", "600",
    ]  # fmt: skip


def of_timm(script: Path, models: list[str], batches: list[int], threads: int, folder: Path) -> tuple[Speeds, float]:
    found: Speeds = {}
    taken = 0.0
    for batch in batches:
        table = folder / f"timm-{batch}.csv"
        taken += seconds(theirs(script, models, batch, SIZE, table, folder), threads)
        found |= {(row["model"], batch): float(row["infer_samples_per_sec"]) for row in timm_rows(table)}
    return found, taken


def theirs(script: Path, models: list[str], batch: int, size: int, table: Path, folder: Path) -> list[str]:
    names = folder / "models.txt"
    names.write_text("\n".join(models))
    return [
        sys.executable, str(script), "--model-list", str(names), "--bench", "infer", "--device", "cpu", "-b",
        str(batch), "--img-size", str(size), "--results-file", str(table), "--no-retry",
    ]  # fmt: skip


def timm_rows(table: Path) -> list[dict[str, str]]:
    if not table.is_file():
        return []
    with table.open(newline="") as lines:
        return list(csv.DictReader(lines))


def seconds(command: list[str], threads: int) -> float:
    """Wall time; both tools get the same number of threads and no network."""
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1"}
    began = time.perf_counter()
    subprocess.run(command, cwd=PROJECT, env=environment, check=False, capture_output=True)
    return time.perf_counter() - began


def report(models: list[str], batches: list[int], ours: Speeds, theirs: Speeds) -> None:
    for batch in batches:
        both = [name for name in models if (name, batch) in ours and (name, batch) in theirs]
        ratios = [ours[name, batch] / theirs[name, batch] for name in both]
        print(f"batch {batch}: images/s here, by timm, ratio")
        for name, ratio in zip(both, ratios, strict=True):
            print(f"  {name:28s} {ours[name, batch]:8.1f} {theirs[name, batch]:8.1f} {ratio:5.2f}")
        print(f"  median ratio {median(ratios):.3f} of {len(both)} models" if both else "  none was measured by both")


def survivors(script: Path, threads: int, folder: Path) -> str:
    model, size = REFUSES
    models = ["mobilenetv3_small_050", model, "resnet10t"]
    mine, timms = folder / "ours-broken.csv", folder / "timm-broken.csv"
    seconds(ours(models, [1], threads, size, mine), threads)
    seconds(theirs(script, models, 1, size, timms, folder), threads)
    kept = sum(row.works for row in read_rows(mine))
    return f"{kept} of {len(models)} here, {len(timm_rows(timms))} of {len(models)} by timm"


if __name__ == "__main__":
    main()
