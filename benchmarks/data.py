"""The data path's bars: python benchmarks/data.py DIR, where DIR holds train/<class>/*.jpg and test/<class>/*.jpg.

Prints wall and CPU seconds, medians of interleaved rounds: hashing a new folder, building the cache of its training
images, opening that cache, opening the unchanged folder; and the same decode through torchvision's ImageFolder.
"""

import os
import sys
import time
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
from torchvision.datasets import ImageFolder

sys.path.insert(0, str(Path(__file__).parent.parent))

from datamodule.cache import open_store  # noqa: E402 the project's root is not on the path of a script in a folder
from datamodule.checks import settle  # noqa: E402
from datamodule.layout import scan_folder  # noqa: E402
from datamodule.parallel import cores  # noqa: E402
from datamodule.preprocessing import Squash  # noqa: E402
from datamodule.readers import FileReader  # noqa: E402

Seconds = tuple[float, float]


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
    new_folder = timed(lambda: scan_folder(root, cache))
    inventory, _ = settle(scan_folder(root, cache), cache_dir=cache, val_share=0.0)
    rows, reader = inventory.rows("train"), FileReader(root, inventory.path, 3)
    height, width = int(inventory.height[0]), int(inventory.width[0])

    def open_cache() -> None:
        open_store(inventory, Squash(height, width, 3), reader, cache, rows=rows, mode="ram")

    return {
        "hash the new folder": new_folder,
        f"build the cache of {len(rows):,} images": timed(open_cache),
        "the same decode through ImageFolder": timed(lambda: through_image_folder(root)),
        "open the cache": timed(open_cache),
        f"open the unchanged folder of {len(inventory):,} files": timed(
            lambda: settle(scan_folder(root, cache), cache_dir=cache, val_share=0.0)
        ),
    }


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    rounds = []
    for _ in range(given.rounds):
        with TemporaryDirectory(dir=Path.cwd()) as cache:
            rounds.append(one_round(given.folder, Path(cache)))
    print(f"{given.rounds} rounds, {cores()} cores, load {os.getloadavg()[0]:.1f}; seconds: wall, CPU")
    middle = {step: tuple(median(one[step][kind] for one in rounds) for kind in (0, 1)) for step in rounds[0]}
    for step, (wall, cpu) in middle.items():
        print(f"{step:48} {wall:8.2f} {cpu:8.2f}")
    (_, (built_wall, built_cpu)), (_, (peer_wall, peer_cpu)) = list(middle.items())[1:3]
    print(f"{'ImageFolder / building the cache':48} {peer_wall / built_wall:8.2f} {peer_cpu / built_cpu:8.2f}")


if __name__ == "__main__":
    main()
