"""Augmentation of whole batches beside torchvision's v2 transforms, which take one image after the other.

    python -m benchmarks.augment [--rounds 5] [--images 512]

Both start from decoded uint8 images in RAM and end with normalised float batches; one thread. Prints microseconds of
CPU time per image, medians of interleaved rounds, and how many times faster batches are. Promised on one quiet core:
gather, crop, flip and normalise in under 10 microseconds per image at 32 px. Exits with 1 where that is not kept.
"""

import os
import sys
import time
from argparse import ArgumentParser, RawTextHelpFormatter
from collections.abc import Callable
from statistics import median
from typing import NamedTuple

import numpy as np
import torch
from torchvision.transforms import v2

from datamodule.colour import ColorJitter
from datamodule.geometry import Flip, PadCrop, RandomResizedCrop
from datamodule.mixing import CutMix, Erasing, Mixup
from datamodule.randaugment import RandAugment
from datamodule.randomness import Draws
from datamodule.transforms import Augmentation, Normalize, Transform

MEAN, STD = (0.49, 0.48, 0.45), (0.25, 0.24, 0.26)
CLASSES, BATCH, PROMISED_US = 10, 128, 10.0
Pixels = np.ndarray[tuple[int, int, int, int], np.dtype[np.uint8]]

FLIP, CROP = v2.RandomHorizontalFlip(), v2.RandomCrop(32, padding=4, padding_mode="reflect")


class Recipe(NamedTuple):
    """The same augmentation twice; torchvision's in transforms of an image and transforms of a batch."""

    stored: int  # pixels on each side, as size
    size: int
    ours: list[Transform]
    each: list[v2.Transform]
    batch: list[v2.Transform] = []


RECIPES = {
    "nothing but normalising, 32 px": Recipe(32, 32, [], []),
    "crop, flip, 32 px": Recipe(32, 32, [PadCrop(4), Flip()], [CROP, FLIP]),
    "crop, flip, colour, 32 px": Recipe(
        32, 32, [PadCrop(4), Flip(), ColorJitter()], [CROP, FLIP, v2.ColorJitter(0.4, 0.4, 0.4)]
    ),
    "crop, flip, RandAugment, erasing, 32 px": Recipe(
        32, 32, [PadCrop(4), Flip(), RandAugment(), Erasing()], [CROP, FLIP, v2.RandAugment(), v2.RandomErasing(0.25)]
    ),
    "crop, flip, CutMix, 32 px": Recipe(
        32, 32, [PadCrop(4), Flip(), CutMix()], [CROP, FLIP], [v2.CutMix(num_classes=CLASSES)]
    ),
    "crop, flip, mixup, 32 px": Recipe(
        32, 32, [PadCrop(4), Flip(), Mixup()], [CROP, FLIP], [v2.MixUp(alpha=0.2, num_classes=CLASSES)]
    ),
    "resized crop, flip, 258 to 224 px": Recipe(
        258, 224, [RandomResizedCrop(), Flip()], [v2.RandomResizedCrop(224), FLIP]
    ),
}


def in_batches(images: Pixels, size: int, transforms: list[Transform]) -> None:
    """All images once, as ImageData makes its batches."""
    fitted = {str(number): transform.fitted(size, size) for number, transform in enumerate(transforms)}
    augment, normalize = Augmentation(fitted, CLASSES), Normalize(MEAN, STD)
    for rows in np.array_split(np.random.default_rng(0).permutation(len(images)), max(1, len(images) // BATCH)):
        image, target = torch.from_numpy(images[rows]).permute(0, 3, 1, 2), torch.from_numpy(rows % CLASSES)
        nothing = np.zeros_like(rows)
        image, target = augment(image, target, Draws(0, nothing, rows, nothing, np.ones(len(rows))))
        normalize(image)


def one_by_one(images: torch.Tensor, each: list[v2.Transform], batch: list[v2.Transform]) -> None:
    """All images once, as a Dataset and its collate function make batches; images: (N, C, H, W)."""
    last = [v2.ToDtype(torch.float32, scale=True), v2.Normalize(list(MEAN), list(STD))]
    transform, mix = v2.Compose([*each, *last]), v2.Compose(batch) if batch else None
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    for rows in order.tensor_split(max(1, len(images) // BATCH)):
        image = torch.stack([transform(images[row]) for row in rows.tolist()])
        if mix is not None:
            mix(image, rows % CLASSES)


def cpu_us(work: Callable[[], None], images: int) -> float:
    """Microseconds of CPU time per image."""
    start = time.process_time()
    work()
    return (time.process_time() - start) / images * 1e6


def compare(name: str, count: int, rounds: int) -> tuple[float, float]:
    """Microseconds per image: ours, torchvision's."""
    stored, size, ours, each, batch = RECIPES[name]
    count = count if size < 100 else max(32, count // 8)
    images = np.random.default_rng(0).integers(0, 256, (count, stored, stored, 3), dtype=np.uint8)
    planes = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
    times = [
        (cpu_us(lambda: in_batches(images, size, ours), count), cpu_us(lambda: one_by_one(planes, each, batch), count))
        for _ in range(rounds + 1)
    ][1:]  # the first round warms up
    return median(mine for mine, _ in times), median(theirs for _, theirs in times)


def main() -> None:
    parser = ArgumentParser(
        prog="python -m benchmarks.augment", description=__doc__, formatter_class=RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=512)
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{given.rounds} rounds, {given.images} images, load {os.getloadavg()[0]:.1f}; us of CPU per image")
    print(f"{'':42} {'batches':>9} {'v2':>9} {'ratio':>7}")
    figures = {name: compare(name, given.images, given.rounds) for name in RECIPES}
    for name, (ours, theirs) in figures.items():
        print(f"{name:42} {ours:9.1f} {theirs:9.1f} {theirs / ours:7.1f}")
    sys.exit(figures["crop, flip, 32 px"][0] > PROMISED_US)


if __name__ == "__main__":
    main()
