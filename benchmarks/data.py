"""The data path beside torchvision's ImageFolder: how long a set takes to be hashed, decoded, opened.

    python -m benchmarks.data DIR [--rounds 3]

DIR holds train/<class>/*.jpg and test/<class>/*.jpg: CIFAR-10's 50,000 and 10,000 files. Prints wall and CPU seconds,
medians of interleaved rounds. Promised on 2 quiet cores: the cache is built in under 15 s and opens in under 0.2 s, the
unchanged folder opens in under 1 s. Exits with 1 where a promise is not kept.
"""

import os
import sys
import time
from argparse import ArgumentParser, RawTextHelpFormatter
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
from torchvision.datasets import ImageFolder

from datamodule.cache import open_store
from datamodule.checks import settle
from datamodule.layout import scan_folder
from datamodule.parallel import cores
from datamodule.preprocessing import Squash
from datamodule.readers import FileReader

Seconds = tuple[float, float]
PROMISED = {"build the cache": 15.0, "open the cache": 0.2, "open the unchanged folder": 1.0}  # wall seconds


def timed(work: Callable[[], object]) -> Seconds:
    """Wall and CPU seconds of all threads."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def through_image_folder(root: Path) -> None:
    """Every training image as an array, by Pillow."""
    for image, _ in ImageFolder(str(root / "train")):
        np.asarray(image)


def one_round(root: Path, cache: Path) -> dict[str, Seconds]:
    """All steps once, with an empty cache at first."""
    steps = {"hash the new folder": timed(lambda: scan_folder(root, cache))}
    inventory, _ = settle(scan_folder(root, cache), cache_dir=cache)
    rows, reader = np.flatnonzero(inventory.split != "test"), FileReader(root, inventory.path, 3)
    squash = Squash(int(inventory.height[0]), int(inventory.width[0]), 3)

    def open_cache() -> None:
        open_store(inventory, squash, reader, cache, rows=rows, mode="ram")

    steps["build the cache"] = timed(open_cache)
    steps["the same decode through ImageFolder"] = timed(lambda: through_image_folder(root))
    steps["open the cache"] = timed(open_cache)
    steps["open the unchanged folder"] = timed(lambda: settle(scan_folder(root, cache), cache_dir=cache))
    return steps


def main() -> None:
    parser = ArgumentParser(prog="python -m benchmarks.data", description=__doc__, formatter_class=RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    rounds = []
    for _ in range(given.rounds):
        with TemporaryDirectory() as cache:
            rounds.append(one_round(given.folder, Path(cache)))
    middle = {step: tuple(median(one[step][kind] for one in rounds) for kind in (0, 1)) for step in rounds[0]}
    print(f"{given.rounds} rounds, {cores()} cores, load {os.getloadavg()[0]:.1f}; seconds: wall, CPU, promised")
    for step, (wall, cpu) in middle.items():
        print(f"{step:40} {wall:8.2f} {cpu:8.2f} {PROMISED.get(step, ''):>8}")
    peer, built = middle["the same decode through ImageFolder"], middle["build the cache"]
    print(f"{'ImageFolder / building the cache':40} {peer[0] / built[0]:8.2f} {peer[1] / built[1]:8.2f}")
    sys.exit(any(middle[step][0] > limit for step, limit in PROMISED.items()))


if __name__ == "__main__":
    main()
