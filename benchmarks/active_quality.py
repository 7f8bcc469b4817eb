"""Labels against accuracy: every strategy against random under the same training, over seeds.

python -m benchmarks.active_quality digits [--seeds 10]
python -m benchmarks.active_quality cifar --data data/cifar10 [--seeds 5] [--pool 12000]

Digits: raw pixels, a linear classifier trained anew in each round; batches of 10 up to 100 labels, then of 20.
CIFAR-10: features learnt without labels on the pool (k-means on whitened patches, Coates & Ng 2012), as above.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from active import probe
from active.curves import Curve, curve_of, difference
from active.state import calibrated
from active.view import Array, View, unit
from models.calibration import fit_temperature
from utils.build import build, option

DIGITS_PLAN = [10] * 10 + [20] * 10
CIFAR_PLAN = [10] * 5 + [25] * 2 + [50] * 2 + [100] * 8 + [250] * 4
STRATEGIES = "auto,max_herding,uherding,typiclust,margin,entropy,core_set,badge,random"
CENTRES = 256  # of patches
LEVELS = (0.9, 0.93, 0.95)


def learnt(strategy: str, pool: Array, truth: Array, test: Array, right: Array, plan: Sequence[int], seed: int,
           penalty: float) -> list[tuple[int, float]]:  # fmt: skip
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


def digits(seed: int) -> tuple[Array, Array, Array, Array]:
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


def cifar(folder: Path, pool: int, seed: int) -> tuple[Array, Array, Array, Array]:
    """Images (n, 32, 32, 3) uint8 and classes: `pool` of training's, drawn by the seed, and every third of test's."""
    from datamodule.folder import Folder

    data = Folder(str(folder), cache_dir=".cache", val_share=0.0, mean=[0.5] * 3, std=[0.5] * 3)
    data.prepare()
    rows, tested = data.inventory.rows("train"), data.inventory.rows("test")[::3]
    rows = np.sort(np.random.default_rng(seed).choice(rows, pool, replace=False))
    codes = data.inventory.codes()
    return data._training_store.read(rows), codes[rows], data._evaluation_store.read(tested), codes[tested]


def patch_features(images: Array, others: Array, size: int = 6, kept: int = 256) -> tuple[Array, Array]:
    """Of both sets (n, kept): likeness to patch centres over quadrants, reduced by PCA; fitted on `images` alone."""
    from sklearn.cluster import MiniBatchKMeans
    from sklearn.decomposition import PCA

    rng = np.random.default_rng(0)
    sampled = _patches(images[rng.choice(len(images), 2000, replace=False)], size)[:, rng.choice(729, 20)]
    flat = _normalised(sampled.reshape(-1, size * size * 3))
    values, vectors = np.linalg.eigh(np.cov(flat.T))
    mean, whiten = flat.mean(0), (vectors / np.sqrt(values + 0.1)) @ vectors.T
    found = MiniBatchKMeans(CENTRES, random_state=0, n_init=1, batch_size=4096).fit((flat - mean) @ whiten)
    codes = found.cluster_centers_.astype(np.float32)
    both = [
        np.concatenate([_pooled(one[at : at + 250], size, mean, whiten, codes) for at in range(0, len(one), 250)])
        for one in (images, others)
    ]
    scale = both[0].mean(0), both[0].std(0) + 1e-3
    both = [(one - scale[0]) / scale[1] for one in both]
    reduce = PCA(kept, random_state=0).fit(both[0])
    return tuple((reduce.transform(one) / 10).astype(np.float32) for one in both)


def _patches(images: Array, size: int) -> Array:
    """(n, places, size * size * 3)"""
    windows = np.lib.stride_tricks.sliding_window_view(images, (size, size), axis=(1, 2))
    return windows.reshape(len(images), -1, 3 * size * size).astype(np.float32)


def _normalised(patches: Array) -> Array:
    centred = patches - patches.mean(1, keepdims=True)
    return centred / np.sqrt(centred.var(1, keepdims=True) + 10)


def _pooled(images: Array, size: int, mean: Array, whiten: Array, codes: Array) -> Array:
    """Coates & Ng's soft ("triangle") likeness to each centre, summed over the four quadrants."""
    patches = _patches(images, size)
    side = 32 - size + 1
    white = ((_normalised(patches.reshape(-1, patches.shape[2])) - mean) @ whiten).astype(np.float32)
    distance = np.sqrt(np.maximum((white**2).sum(1)[:, None] + (codes**2).sum(1) - 2 * white @ codes.T, 0))
    near = np.maximum(distance.mean(1, keepdims=True) - distance, 0).reshape(len(images), side, side, -1)
    half = side // 2
    halves = (slice(half), slice(half, None))
    return np.concatenate([near[:, rows, columns].sum((1, 2)) for rows in halves for columns in halves], axis=1)


def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.active_quality", description=__doc__)
    parser.add_argument("what", choices=("digits", "cifar"))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--strategies", default=STRATEGIES)
    parser.add_argument("--data", type=Path, default=Path("data/cifar10"))
    parser.add_argument("--pool", type=int, default=12_000)
    parser.add_argument("--penalty", type=float, default=1e-3)
    given = parser.parse_args()
    names = [*given.strategies.split(",")]
    rounds: dict[str, list[list[tuple[int, float]]]] = {name: [] for name in names}
    plan = DIGITS_PLAN if given.what == "digits" else CIFAR_PLAN
    begun = time.process_time()
    for seed in range(given.seeds):
        if given.what == "digits":
            pool, truth, test, right = digits(seed)
        else:
            images, truth, others, right = cifar(given.data, given.pool, seed)
            pool, test = patch_features(images, others)
        for name in names:
            rounds[name].append(learnt(name, pool, truth, test, right, plan, seed, given.penalty))
    curves = [curve_of(name, rounds[name]) for name in names]
    shown = (10, 20, 50, 100, 200, 300) if given.what == "digits" else (10, 20, 50, 100, 500, 1000, 2000)
    print(f"{given.what}, {given.seeds} seeds, {time.process_time() - begun:.0f} CPU-seconds")
    report(curves, LEVELS if given.what == "digits" else (0.3, 0.4, 0.5), shown)


if __name__ == "__main__":
    main()
