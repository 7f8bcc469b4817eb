"""optimizers.lr=auto against a grid: how far the found rate is from the best of a full training, on four networks.

    python -m benchmarks.rate_finder FOLDER --seeds 0

The grid has rates a factor of two apart, each trained in full and judged by validation loss; every training is one
JSON in FOLDER, shared with benchmarks.auto_optimizer. Prints the valley's rate, the found one and the grid's best.
"""

import argparse
import math
from pathlib import Path

from benchmarks.auto_optimizer import Cell, course_of
from utils.build import build, option

NETWORKS = (
    ("digits", "simple_cnn"),
    ("digits", "test_efficientnet"),
    ("digits", "shallow"),
    ("digits", "wide"),
)
OPTIMIZERS = ("adamw", "sgd")
GRID = {"adamw": [0.00025 * 2**power for power in range(8)], "sgd": [0.004 * 2**power for power in range(8)]}


def row(cell: Cell, name: str, folder: Path) -> tuple[float, float, float, float]:
    """The valley's rate, the found one, the grid's best, and how much more loss the found one's neighbour has."""
    from tuning.auto_settings import of_choice
    from tuning.rate_finder import find_rate, range_test

    course = course_of(cell, folder, None)
    node = option("optimizers", name)
    given, rules = of_choice(node)
    losses = {lr: course.train(build(node | {"lr": lr}), course.full_steps)[0].val_loss for lr in GRID[name]}
    best = min(losses, key=lambda lr: losses[lr])
    valley = range_test(course, build(node | {"lr": 1.0})).valley
    found = find_rate(course, node, given, rules).winner.lr
    nearest = min(losses, key=lambda lr: abs(math.log(lr / found)))
    return valley, found, best, losses[nearest] - losses[best]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    chosen = parser.parse_args()
    for seed in chosen.seeds:
        for data, network in NETWORKS:
            for name in OPTIMIZERS:
                valley, found, best, lost = row(Cell(data, network, seed), name, chosen.folder.absolute())
                factor = max(found / best, best / found)
                rates = f"valley {valley:.2g}, found {found:.2g}, grid {best:.2g}"
                print(f"{data} {network} {name} seed {seed}: {rates}, factor {factor:.2f}, {lost:+.3f}", flush=True)


if __name__ == "__main__":
    main()
