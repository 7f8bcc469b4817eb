"""Label errors: `callback=label_errors` against cleanlab's confident learning on the same network, epochs and noise.

    pip install -r benchmarks/requirements-label-errors.txt
    python -m benchmarks.label_errors data/cifar10

Each cell (a noise and a seed) trains on CIFAR-10 images with labels made wrong: once with the callback, once with its
trimming, and once for each fold of cleanlab's cross-validation. Finished cells are kept in --json, so the same command
goes on where it stopped, and a longer list of --noises or --seeds only adds what is missing.
"""

import argparse
import json
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from scipy import stats

from benchmarks.label_cell import Job, run_cell
from benchmarks.label_scores import SCORES
from benchmarks.training_speed import machine
from benchmarks.training_tables import markdown
from utils.files import write_whole

Cell = dict[str, Any]
Cells = dict[str, Cell]

OURS, TRIMMED = "ours", "ours, trimmed"
BETTER = {"auroc": 1, "ap": 1, "miss": -1}  # the sign of what is better


def main() -> None:
    asked = arguments()
    cells: Cells = json.loads(asked.json.read_text()) if asked.json.exists() else {}
    for job in jobs(asked):
        if job.key not in cells:
            cells[job.key] = run_job(job) | {"machine": machine(), "load": os.getloadavg()}
            write_whole(asked.json, json.dumps(cells, indent=1))
        print(line(job, cells[job.key]), flush=True)
    print(f"\n{report(asked, cells)}\n\nevery figure: {asked.json}")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cifar", type=Path, help="CIFAR-10 as JPEG files below train/ and test/")
    parser.add_argument("--noises", nargs="+", default=["sym10", "sym20", "sym40", "pair20"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--folds", type=int, default=5, help="of cleanlab's cross-validation")
    parser.add_argument("--speed", default="bf16+channels_last", help="trainer.speed of both sides")
    parser.add_argument("--json", type=Path, default=Path("logs/label_errors.json"))
    return parser.parse_args()


def jobs(asked: argparse.Namespace) -> list[Job]:
    return [
        Job(asked.cifar.absolute(), noise, seed, asked.images, asked.epochs, asked.folds, asked.speed)
        for seed in asked.seeds
        for noise in asked.noises
    ]


def run_job(job: Job) -> Cell:
    with tempfile.TemporaryDirectory(prefix="label_errors_") as work:
        return run_cell(job, Path(work))


def line(job: Job, cell: Cell) -> str:
    parts = [f"{name} {found['auroc']:.4f}/{found['miss']:.4f}" for name, found in cell.items() if "auroc" in found]
    return f"{job.key}: AUROC/miss {', '.join(parts)}"


def report(asked: argparse.Namespace, cells: Cells) -> str:
    """The table of every method, then the issue's bars."""
    by_noise = {
        noise: [cells[job.key] for job in jobs(asked) if job.noise == noise and job.key in cells]
        for noise in asked.noises
    }
    return f"{method_table(by_noise)}\n\n{bar_table(by_noise)}"


def method_table(by_noise: dict[str, list[Cell]]) -> str:
    """Means over the seeds."""
    head = ("noise", "method", "AUROC", "AP", "miss", "suggested right", "of flagged errors", "flagged", "precision",
            "recall", "test accuracy", "CPU-s", "search CPU-s")  # fmt: skip
    rows = [
        [noise, name, *figures([cell[name] for cell in found])]
        for noise, found in by_noise.items()
        for name in (OURS, TRIMMED, "ours, out of fold", *SCORES)
    ]
    return markdown(head, rows)


def figures(found: list[Cell]) -> list[str]:
    def average(name: str, shape: str) -> str:
        return format(mean(one[name] for one in found), shape) if name in found[0] else ""

    shares = [
        average(name, ".4f") for name in ("auroc", "ap", "miss", "suggested_right", "suggested_right_flagged_wrong")
    ]
    flags = [average("flagged", ".0f"), average("precision", ".3f"), average("recall", ".3f")]
    return [*shares, *flags, average("accuracy", ".4f"), average("cpu_s", ".1f"), average("search_s", ".2f")]


def bar_table(by_noise: dict[str, list[Cell]]) -> str:
    """The promises of the issue, each with its figure; ranges are 95 % by Student's t over the seeds."""
    head = ("noise", "bar", "measured", "kept")
    return markdown(head, [row for noise, found in by_noise.items() for row in bars(noise, found)])


def bars(noise: str, found: list[Cell]) -> list[list[str]]:
    rows = []
    for side in (OURS, TRIMMED):
        for figure in ("auroc", "miss"):
            gains = [BETTER[figure] * (cell[side][figure] - best(cell, figure)) for cell in found]
            rows.append([noise, f"{side}: {figure} no worse than cleanlab's best", f"better by {spread(gains)}",
                         kept(mean(gains) >= 0)])  # fmt: skip
    if noise.startswith("pair"):
        fewer = [1 - cell[TRIMMED]["miss"] / best(cell, "miss") for cell in found]
        rows.append([noise, "trimmed: at least a quarter fewer misses", f"fewer by {spread(fewer)}",
                     kept(mean(fewer) >= 0.25)])  # fmt: skip
    for side in (OURS, TRIMMED):
        shares = [cell[side]["cpu_s"] / (plain_s(cell) + cheapest(cell)) for cell in found]
        rows.append([noise, f"{side}: at most 1/4 of the CPU of train-then-cleanlab", spread(shares),
                     kept(mean(shares) <= 0.25)])  # fmt: skip
    lost = [cell[OURS]["accuracy"] - cell[TRIMMED]["accuracy"] for cell in found]
    rows.append([noise, "trimmed: test accuracy lower by at most 0.003", spread(lost), kept(mean(lost) <= 0.003)])
    costs = [cell[OURS]["search_s"] / plain_s(cell) for cell in found]
    rows.append([noise, "ours: below 1 % of the training's CPU", spread(costs), kept(mean(costs) < 0.01)])
    return rows


def best(cell: Cell, figure: str) -> float:
    """The best of cleanlab's four, chosen after the fact, which favours it."""
    choose: Callable[..., float] = max if BETTER[figure] > 0 else min
    return choose(cell[name][figure] for name in SCORES)


def cheapest(cell: Cell) -> float:
    return min(cell[name]["cpu_s"] for name in SCORES)


def plain_s(cell: Cell) -> float:
    """CPU-seconds of the training alone; without trimming the callback changes nothing but the clock."""
    return cell[OURS]["cpu_s"] - cell[OURS]["search_s"]


def spread(values: Sequence[float]) -> str:
    """The mean with its 95 % range, where there are two values or more."""
    if len(values) < 2:
        return f"{values[0]:+.4f}"
    half = float(stats.t.ppf(0.975, len(values) - 1)) * float(np.std(values, ddof=1)) / len(values) ** 0.5
    return f"{mean(values):+.4f} ({mean(values) - half:+.4f} … {mean(values) + half:+.4f})"


def kept(is_kept: bool) -> str:
    return "kept" if is_kept else "MISSED"


if __name__ == "__main__":
    main()
