"""Labels against accuracy: every strategy against random under the same training, over seeds.

python -m benchmarks.active_quality digits [--seeds 10]
python -m benchmarks.active_quality cifar --data data/cifar10 [--seeds 5] [--features patches | simclr]

Digits: raw pixels, a linear classifier trained anew in each round; batches of 10 up to 100 labels, then of 20.
CIFAR-10: features learnt without labels on --images of it, of which each seed draws a pool; as above.
Each finished cell (a strategy and a seed) and the features are kept in --keep, so the same command goes on where it
stopped; after a change of a strategy give another folder.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from active import probe
from active.curves import Curve, curve_of, difference
from active.state import calibrated
from active.view import Array, View, unit
from benchmarks.active_features import cifar_features
from models.calibration import fit_temperature
from utils.build import build
from utils.configuration import option
from utils.files import write_whole

Data = tuple[Array, Array, Array, Array]  # features and classes of the pool, then of the test images
Rounds = list[tuple[int, float]]  # labels and accuracy after each batch

DIGITS_PLAN = [10] * 10 + [20] * 10
CIFAR_PLAN = [10] * 5 + [25] * 2 + [50] * 2 + [100] * 8 + [250] * 4
STRATEGIES = "auto,max_herding,uherding,typiclust,margin,entropy,core_set,badge,random"


def learnt(strategy: str, pool: Array, truth: Array, test: Array, right: Array, plan: Sequence[int], seed: int,
           penalty: float) -> Rounds:  # fmt: skip
    """(labels, accuracy) after each batch."""
    rng, chooser = np.random.default_rng(seed), build(option("active/strategy", strategy))
    classes = int(truth.max()) + 1
    key = np.random.default_rng(0).permutation(len(pool)).astype(np.uint64)
    label, embedding, probs = np.full(len(pool), -1), unit(pool), None
    found = []
    for batch in plan:
        view = View(key, label, embedding, probs, None if probs is None else pool)
        picks = chooser.pick(view, batch, rng)
        label = label.copy()
        label[picks.rows] = truth[picks.rows]
        known = np.flatnonzero(label >= 0)
        weights = probe.fit(pool[known], label[known], classes, penalty)
        found.append((len(known), float((probe.logits(test, weights).argmax(1) == right).mean())))
        if strategy == "random":
            continue
        logits = probe.logits(pool, weights)
        probs = calibrated(logits, temperature(pool[known], label[known], classes, penalty))
    return found


def temperature(features: Array, label: Array, classes: int, penalty: float, folds: int = 3) -> float:
    """Fitted on the labelled images alone, each judged by a classifier that has not seen it."""
    if len(label) < 20:
        return 1.0
    fold, logits = np.arange(len(label)) % folds, np.zeros((len(label), classes))
    for number in range(folds):
        weights = probe.fit(features[fold != number], label[fold != number], classes, penalty)
        logits[fold == number] = probe.logits(features[fold == number], weights)
    return fit_temperature(logits, label)


def digits(seed: int) -> Data:
    """1,300 images to choose from, 497 to test on, drawn by the seed."""
    table = load_digits()
    order = np.random.default_rng(1000 + seed).permutation(len(table.data))
    features = (table.data / 16).astype(np.float32)
    pool, test = order[:1300], order[1300:]
    return features[pool], table.target[pool], features[test], table.target[test]


def report(curves: Sequence[Curve], levels: Sequence[float], shown: Sequence[int]) -> None:
    """A row a strategy, and the paired difference to random."""
    reference = next(curve for curve in curves if curve.name == "random")
    print(f"{'':17}{'area':>7}  {'more than random, 95 %':26}" + "".join(f"{f'>= {level:.0%}':>8}" for level in levels)
          + "".join(f"{count:>7}" for count in shown))  # fmt: skip
    for curve in curves:
        apart = difference(curve.area, reference.area)
        more = ""
        if curve is not reference and apart is not None:
            more = f"{apart.value:+.4f} ({apart.low:+.4f}, {apart.high:+.4f})"
        needed = "".join(f"{curve.labels_to(level) or '-':>8}" for level in levels)
        at = "".join(f"{curve.mean[list(curve.labels).index(count)]:>7.3f}" for count in shown)
        print(f"{curve.name:17}{curve.area.mean():>7.4f}  {more:26}{needed}{at}")
    auto = next((curve for curve in curves if curve.name == "auto"), None)
    if auto is not None:
        gap = auto.mean - reference.mean
        lowest, where = int(gap.argmin()), auto.labels
        print(f"auto against random at every budget: lowest {100 * gap[lowest]:+.2f} points at {where[lowest]:.0f}, "
              f"highest {100 * gap.max():+.2f} at {where[gap.argmax()]:.0f}")  # fmt: skip


def cifar(pool: Array, truth: Array, test: Array, right: Array, count: int, seed: int) -> Data:
    """`count` of the pool's images to choose from, drawn by the seed."""
    drawn = np.sort(np.random.default_rng(1000 + seed).choice(len(pool), count, replace=False))
    return pool[drawn], truth[drawn], test, right


def compared(given: argparse.Namespace, kind: str, draw: Callable[[int], Data], plan: Sequence[int]) -> list[Curve]:
    """A curve a strategy; cells that an earlier run has finished are not made again. draw: the data of a seed."""
    file = given.keep / f"{kind}.json"
    cells: dict[str, Rounds] = json.loads(file.read_text()) if file.exists() else {}
    names, seeds = given.strategies.split(","), range(given.first, given.first + given.seeds)
    for seed in seeds:
        for name in [one for one in names if f"{one} {seed}" not in cells]:
            cells[f"{name} {seed}"] = learnt(name, *draw(seed), plan, seed, given.penalty)
            write_whole(file, json.dumps(cells))
    return [curve_of(name, [[(n, score) for n, score in cells[f"{name} {seed}"]] for seed in seeds]) for name in names]


def on_digits(given: argparse.Namespace) -> None:
    curves = compared(given, f"digits-{given.penalty:g}", digits, DIGITS_PLAN)
    report(curves, (0.9, 0.93, 0.95), (10, 20, 50, 100, 200, 300))


def on_cifar(given: argparse.Namespace) -> None:
    features = f"{given.features}{given.epochs if given.features == 'simclr' else ''}-{given.images}"
    file = given.keep / f"features-{features}.npz"
    images = cifar_features(given.features, given.data, given.images, given.epochs, file)
    kind = f"cifar-{features}-{given.pool}-{given.penalty:g}"
    curves = compared(given, kind, lambda seed: cifar(*images, given.pool, seed), CIFAR_PLAN)
    report(curves, (0.3, 0.4, 0.5), (10, 20, 50, 100, 500, 1000, 2000))


def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.active_quality", description=__doc__)
    parser.add_argument("what", choices=("digits", "cifar"))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=0, help="seed; choose settings on others than are reported")
    parser.add_argument("--strategies", default=STRATEGIES)
    parser.add_argument("--penalty", type=float, default=1e-3, help="on the classifier's squared weights")
    parser.add_argument("--keep", type=Path, default=Path("logs/active_quality"))
    parser.add_argument("--data", type=Path, default=Path("data/cifar10"))
    parser.add_argument("--features", choices=("patches", "simclr"), default="patches")
    parser.add_argument("--images", type=int, default=12_000, help="that the features are learnt on")
    parser.add_argument("--epochs", type=int, default=100, help="of simclr")
    parser.add_argument("--pool", type=int, default=8_000, help="images of these that a seed draws")
    given = parser.parse_args()
    given.keep.mkdir(parents=True, exist_ok=True)
    print(f"{given.what}, seeds {given.first} to {given.first + given.seeds - 1}")
    on_digits(given) if given.what == "digits" else on_cifar(given)


if __name__ == "__main__":
    main()
