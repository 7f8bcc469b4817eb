"""optimizers.lr=auto against a grid: how far the found rate is from the best of a full training, on four networks.

    python -m benchmarks.rate_finder FOLDER --seeds 0 1

The grid has rates a factor of two apart, each trained in full and judged by validation loss; every training is one
JSON in FOLDER, shared with benchmarks.auto_optimizer. The lowest loss of one seed is mostly chance (a training's loss
varies more than neighbouring rates differ), so the grid's best is the top of a parabola through the mean log losses of
all seeds, at all rates where it is at most three times the lowest: five rates around the lowest let that one's chance
decide. Behind it stands where 90 % of these lie when the seeds are drawn again with replacement: what is within them
the grid cannot tell apart. Each seed's own lowest is printed, too.
"""

import argparse
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.auto_optimizer import Cell, course_of
from utils.build import build
from utils.configuration import option

NETWORKS = (
    ("digits", "simple_cnn"),
    ("digits", "test_efficientnet"),
    ("digits", "shallow"),
    ("digits", "wide"),
)
OPTIMIZERS = ("adamw", "sgd")
ALLOWED = 2.0  # factor
BASIN = 3.0  # times the lowest loss
RESAMPLED = 2000
WORST = 20.0  # loss of what diverged
GRID = {"adamw": [0.00025 * 2**power for power in range(10)], "sgd": [0.004 * 2**power for power in range(8)]}


def losses_of(course: Any, name: str) -> NDArray[np.float64]:
    """Log losses of full trainings at the grid's rates."""
    node = option("optimizers", name)
    found = [course.train(build(node | {"lr": lr}), course.full_steps)[0].val_loss for lr in GRID[name]]
    return np.log(np.minimum(found, WORST))


def best_of(losses: NDArray[np.float64], rates: list[float]) -> float:
    """The rate at the top of a parabola through the basin of the lowest one."""
    lowest = int(losses.argmin())
    basin = np.flatnonzero(losses <= losses[lowest] + math.log(BASIN))
    near = slice(min(basin[0], max(lowest - 1, 0)), max(basin[-1], lowest + 1) + 1)
    logs = np.log(rates)
    square, slope, _ = np.polyfit(logs[near], losses[near], 2)
    top = -slope / (2 * square) if square > 0 else logs[lowest]
    return float(np.exp(np.clip(top, logs[near][0], logs[near][-1])))


def span_of(losses: NDArray[np.float64], rates: list[float]) -> tuple[float, float]:
    """Within which the best rate lies for 90 % of drawn seeds. losses: (seeds, rates)."""
    draws = np.random.default_rng(0).integers(0, len(losses), (RESAMPLED, len(losses)))
    low, high = np.percentile([best_of(losses[drawn].mean(axis=0), rates) for drawn in draws], [5, 95])
    return float(low), float(high)


def apart(rate: float, low: float, high: float) -> float:
    """By what factor a rate lies outside of a range."""
    return max(low / rate, rate / high, 1.0)


def found_by(course: Any, name: str) -> tuple[float, float]:
    """The range test's rate, and the one that is chosen."""
    from tuning.auto_settings import of_choice
    from tuning.rate_finder import find_rate, range_test

    node = option("optimizers", name)
    given, rules = of_choice(node)
    return range_test(course, build(node | {"lr": 1.0})).valley, find_rate(course, node, given, rules).winner.lr


def rows(data: str, network: str, name: str, seeds: list[int], folder: Path) -> Iterator[tuple[str, float, float]]:
    """A line for each seed, and how far what was found is from the grid's best, and from where that may lie."""
    courses = [course_of(Cell(data, network, seed), folder, None) for seed in seeds]
    losses = [losses_of(course, name) for course in courses]
    best = best_of(np.mean(losses, axis=0), GRID[name])
    low, high = span_of(np.array(losses), GRID[name])
    for seed, course, own in zip(seeds, courses, losses, strict=True):
        valley, found = found_by(course, name)
        nearest = int(np.abs(np.log(GRID[name]) - math.log(found)).argmin())
        grid = f"{best:.2g} ({low:.2g} … {high:.2g}), its lowest {GRID[name][own.argmin()]:.2g}"
        told = f"valley {valley:.2g}, found {found:.2g}, grid {grid}"
        lost = math.exp(own[nearest]) - math.exp(own.min())
        off = apart(found, best, best)
        yield (
            f"{data} {network} {name} seed {seed}: {told}, factor {off:.2f}, {lost:+.3f}",
            off,
            apart(found, low, high),
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    chosen = parser.parse_args()
    for name in OPTIMIZERS:
        factors = list[tuple[float, float]]()
        for data, network in NETWORKS:
            for line, from_best, from_span in rows(data, network, name, chosen.seeds, chosen.folder.absolute()):
                print(line, flush=True)
                factors.append((from_best, from_span))
        of_best, of_span = (sum(one[place] <= ALLOWED for one in factors) for place in (0, 1))
        print(
            f"{name}: within a factor of {ALLOWED:g} of the grid's best {of_best} of {len(factors)}, "
            f"of where the grid says that it may lie {of_span}"
        )


if __name__ == "__main__":
    main()
