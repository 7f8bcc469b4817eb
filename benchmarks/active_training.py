"""How long a labelled part of a pool trains, against the same images as a plain data set: CPU-seconds on one thread.

python -m benchmarks.active_training data/cifar10 [--pool 5000] [--labelled 1000] [--epochs 10] [--rounds 5]

Both train the same small network through `models.training.train` on the same images, in turn; the ratio is of the
medians (promised: at most 1.05). Below it the epochs' batches alone, without a network.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np

from datamodule.data import ImageData
from datamodule.folder import Folder
from datamodule.pool import PoolData
from models.run import Run
from models.training import Parts, train
from utils.configuration import composed

NETWORK = ("models=simple_cnn", "models.num_filters=4", "models.dense_width=16", "models.blocks=2")
QUIETLY = ("trainer.speed=fp32", "trainer.threads=1", "trainer.accelerator=cpu", "trainer.progress=false", "logger={}",
           "trainer.log_every_n_steps=1")  # fmt: skip


def sources(cifar: Path, folder: Path, pool: int, labelled: int) -> tuple[ImageData, ImageData]:
    """A plain data set of `labelled` images, and a pool of which just these are labelled; 500 more to validate on."""
    files = sorted((cifar / "train").glob("*/*"))
    drawn = [files[place] for place in np.random.default_rng(0).choice(len(files), pool + 500, replace=False)]
    for name, count in (("plain", labelled), ("pool", pool)):
        linked(drawn[:count], folder / name / "train")
        linked(drawn[pool:], folder / name / "val")
    plain, whole = (
        Folder(str(folder / name), cache_dir=str(folder / "cache"), test_share=0.0) for name in ("plain", "pool")
    )
    plain.prepare()
    candidates = PoolData(whole)
    candidates.prepare()
    assert plain.sizes["val"] == candidates.sizes["val"] == 500 and len(candidates.candidates) == pool
    rows = plain.inventory.rows("train")
    labels = dict(zip(plain.inventory.sha256[rows].tolist(), plain.inventory.label[rows].tolist(), strict=True))
    return plain, candidates.labelled(labels)


def linked(files: list[Path], folder: Path) -> None:
    for file in files:
        place = folder / file.parent.name / file.name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(file.absolute())


def trained(data: ImageData, epochs: int) -> None:
    with tempfile.TemporaryDirectory(prefix="active_training_") as folder:
        line = ["datamodule=folder", f"datamodule.root={folder}", f"trainer.max_epochs={epochs}", *NETWORK, *QUIETLY]
        train(composed(line), Run(Path(folder)), parts=Parts(data=data, sections=None))


def read(data: ImageData, epochs: int) -> None:
    for _ in range(epochs):
        for _ in data.train_dataloader():
            pass


def compared(what: str, work: Callable[[ImageData], None], plain: ImageData, part: ImageData, rounds: int) -> None:
    """A line: the medians and their ratio. What comes first in a round changes; a round before does not count."""
    took: dict[ImageData, list[float]] = {plain: [], part: []}
    for number in range(rounds + 1):
        for data in (plain, part) if number % 2 else (part, plain):
            begun = time.process_time()
            work(data)
            took[data].append(time.process_time() - begun)
    usual, labelled = (median(took[data][1:]) for data in (plain, part))
    print(f"{what}: plain {usual:.3f} CPU-s, labelled part {labelled:.3f}: {labelled / usual:.3f} times "
          f"(load {os.getloadavg()[0]:.1f})", flush=True)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.active_training", description=__doc__)
    parser.add_argument("cifar", type=Path, help="CIFAR-10 as JPEG files below train/")
    parser.add_argument("--pool", type=int, default=5000)
    parser.add_argument("--labelled", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="active_training_") as work:
        plain, part = sources(given.cifar, Path(work), given.pool, given.labelled)
        compared("training", lambda data: trained(data, given.epochs), plain, part, given.rounds)
        compared("batches alone", lambda data: read(data, 100 * given.epochs), plain, part, given.rounds)


if __name__ == "__main__":
    main()
