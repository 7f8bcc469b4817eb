"""Query time against scikit-activeml on the same embeddings, CPU-seconds on one thread; and a million images alone.

python -m benchmarks.active_speed --rival RIVAL_PYTHON [--only max_herding] [--million]
RIVAL_PYTHON: the python of an environment with scikit-activeml==1.0.1.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from active.strategies.badge import badge
from active.strategies.core_set import CoreSet, k_centre
from active.strategies.max_herding import MaxHerding
from active.view import Array, View, unit
from active.worth import Worth

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
WIDTH = 0.7
RIVAL = """
import json, sys, time
import numpy as np
from sklearn.base import BaseEstimator
from skactiveml.base import SkactivemlClassifier
from skactiveml.pool import Badge, CoreSet, MaxHerding

data, what, count, width = np.load(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
X, y = data["embedding"], data["label"].astype(float)
y[y < 0] = np.nan


class Given(SkactivemlClassifier):
    def __init__(self, classes=None, missing_label=np.nan, cost_matrix=None, random_state=None):
        super().__init__(
            classes=classes, missing_label=missing_label, cost_matrix=cost_matrix, random_state=random_state
        )

    def fit(self, X, y, sample_weight=None):
        return self

    def predict_proba(self, X):
        return data["probs"][data["label"] < 0]


begun = time.process_time()
if what == "core_set":
    picks = CoreSet(random_state=0).query(X, y, batch_size=count)
elif what == "max_herding":
    picks = MaxHerding(metric_dict={"gamma": 1 / width**2}, random_state=0).query(X, y, batch_size=count)
else:
    picks = Badge(random_state=0).query(X, y, Given(classes=list(range(10))), fit_clf=False, batch_size=count)
print(json.dumps([time.process_time() - begun, [int(pick) for pick in picks]]))
"""


@dataclass(frozen=True)
class Job:
    what: str
    images: int
    count: int
    own: Callable[[View, int], Array]


def core_set(view: View, count: int) -> Array:
    return CoreSet().choose(view, count, np.random.default_rng(0)).rows


def herding(view: View, count: int) -> Array:
    return MaxHerding(width=WIDTH).choose(view, count, np.random.default_rng(0)).rows


def gradients(view: View, count: int) -> Array:
    assert view.probs is not None and view.features is not None
    pool = view.pool
    return badge(view.probs[pool], view.features[pool], count, np.random.default_rng(0), Worth(view), pool)[0]


JOBS = [
    Job("core_set", 20_000, 100, core_set),
    Job("max_herding", 5_000, 100, herding),
    Job("badge", 20_000, 20, gradients),
    Job("core_set", 20_000, 1000, core_set),
]


def clustered(images: int, dimension: int = 512, labelled: int = 100, seed: int = 0) -> View:
    """Embeddings around 100 centres, unit length; probabilities of 10 classes."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(100, dimension)).astype(np.float32)
    embedding = np.empty((images, dimension), np.float32)
    own = rng.integers(100, size=images)
    for start in range(0, images, 50_000):
        part = slice(start, start + 50_000)
        embedding[part] = centres[own[part]] + rng.standard_normal((len(own[part]), dimension), np.float32)
        embedding[part] = unit(embedding[part])
    label = np.full(images, -1)
    label[rng.choice(images, labelled, replace=False)] = rng.integers(10, size=labelled)
    logits = rng.gumbel(size=(images, 10)) * 2
    probs = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return View(np.arange(images, dtype=np.uint64), label, embedding, probs, embedding)


def compared(job: Job, rival: str) -> None:
    """A line: both CPU-seconds, their ratio, how many picks are the same."""
    view = clustered(job.images)
    assert view.probs is not None
    job.own(clustered(500), 5)
    begun = time.process_time()
    own = job.own(view, job.count)
    seconds = time.process_time() - begun
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "view.npz"
        np.savez(file, embedding=view.embedding, label=view.label, probs=view.probs)
        line = [rival, "-c", RIVAL, str(file), job.what, str(job.count), str(WIDTH)]
        done = subprocess.run(line, env=os.environ | ONE_THREAD, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{job.what}: scikit-activeml failed: {done.stderr.strip().splitlines()[-1:]}")
        return
    theirs, picks = json.loads(done.stdout)
    same = len(set(picks) & set(own.tolist()))
    print(f"{job.what:12} {job.images:>8,} x 512, {job.count:>5} picks: {seconds:7.2f} s, scikit-activeml "
          f"{theirs:7.2f} s: {theirs / seconds:6.1f} times; {same} picks the same", flush=True)  # fmt: skip


def million(images: int = 1_000_000, count: int = 1000) -> None:
    """Exact core-set over a pool of a million; memory beside the pool."""
    view = clustered(images)
    tracemalloc.start()
    begun, wall = time.process_time(), time.monotonic()
    rows, _ = k_centre(view.embedding, view.labelled, view.pool, count, Worth(view))
    seconds, wall = time.process_time() - begun, time.monotonic() - wall
    more = tracemalloc.get_traced_memory()[1] / 2**30
    print(f"core_set {images:,} x 512, {len(set(rows.tolist()))} picks: {seconds:.1f} CPU-seconds, {wall:.1f} s by the "
          f"clock; at most {more:.2f} GiB beside the pool")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.active_speed", description=__doc__)
    parser.add_argument("--rival", help="python of an environment with scikit-activeml")
    parser.add_argument("--only", choices=sorted({job.what for job in JOBS}), help="one strategy instead of all")
    parser.add_argument("--million", action="store_true", help="also a pool of a million")
    given = parser.parse_args()
    if given.rival:
        for job in [one for one in JOBS if given.only in (None, one.what)]:
            compared(job, given.rival)
    if given.million:
        million()


if __name__ == "__main__":
    if any(os.environ.get(name) != "1" for name in ONE_THREAD) and "--million" not in sys.argv:
        again = [sys.executable, "-m", "benchmarks.active_speed", *sys.argv[1:]]
        os.execve(sys.executable, again, os.environ | ONE_THREAD)
    main()
