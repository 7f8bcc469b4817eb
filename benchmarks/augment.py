"""Augmentation of whole batches beside torchvision's v2 transforms, which take one image after the other.

    python -m benchmarks.augment [--rounds 5] [--images 2048]

Both start from decoded uint8 images in RAM and end with normalised float batches; one thread. Prints microseconds of
CPU time per image, medians of interleaved rounds, and how many times faster batches are. Promised on one quiet core:
gather, crop, flip and normalise in under 10 microseconds per image at 32 px. Exits with 1 where that is not kept.
"""

import os
import sys
import time
from argparse import ArgumentParser, RawTextHelpFormatter
from collections.abc import Callable, Iterator, Sequence
from statistics import median
from typing import NamedTuple

import numpy as np
import torch
from torchvision.transforms import v2

from datamodule.colour import ColorJitter
from datamodule.decode import Pixels
from datamodule.geometry import Flip, PadCrop, RandomResizedCrop
from datamodule.inventory import Rows
from datamodule.mixing import CutMix, Erasing, Mixup
from datamodule.randaugment import RandAugment
from datamodule.randomness import Draws
from datamodule.transforms import Augmentation, Normalize, Transform

MEAN, STD = (0.49, 0.48, 0.45), (0.25, 0.24, 0.26)
CLASSES, PROMISED_US = 10, 10.0

FLIP, CROP = v2.RandomHorizontalFlip(), v2.RandomCrop(32, padding=4, padding_mode="reflect")


class Recipe(NamedTuple):
    """The same augmentation twice; torchvision's in transforms of an image and transforms of a batch."""

    stored: int  # pixels on each side, as size
    size: int
    ours: list[Transform]
    each: list[v2.Transform]
    batch: Sequence[v2.Transform] = ()
    batch_size: int = 128


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
        258, 224, [RandomResizedCrop(), Flip()], [v2.RandomResizedCrop(224), FLIP], batch_size=32
    ),
}


def in_batches(images: Pixels, recipe: Recipe) -> None:
    """All images once, as ImageData makes its batches."""
    fitted = {str(place): transform.fitted(recipe.size, recipe.size) for place, transform in enumerate(recipe.ours)}
    augment, normalize = Augmentation(fitted, CLASSES), Normalize(MEAN, STD)
    for rows in shuffled(len(images), recipe.batch_size):
        image, target = torch.from_numpy(images[rows]).permute(0, 3, 1, 2), torch.from_numpy(rows % CLASSES)
        nothing = np.zeros_like(rows)
        image, target = augment(image, target, Draws(0, nothing, rows, nothing, np.ones(len(rows))))
        normalize(image)


def one_by_one(images: torch.Tensor, recipe: Recipe) -> None:
    """All images once, as a Dataset and its collate function make batches; images: (N, C, H, W)."""
    last = [v2.ToDtype(torch.float32, scale=True), v2.Normalize(list(MEAN), list(STD))]
    each, batch = v2.Compose([*recipe.each, *last]), recipe.batch
    for rows in shuffled(len(images), recipe.batch_size):
        image = torch.stack([each(images[row]) for row in rows.tolist()])
        for mix in batch:
            mix(image, torch.from_numpy(rows % CLASSES))


def shuffled(count: int, batch_size: int) -> Iterator[Rows]:
    """Batches of row numbers in a random order."""
    order = np.random.default_rng(0).permutation(count)
    return iter(np.array_split(order, max(1, count // batch_size)))


def cpu_us(work: Callable[[], None], images: int) -> float:
    """Microseconds of CPU time per image."""
    start = time.process_time()
    work()
    return (time.process_time() - start) / images * 1e6


def compare(recipe: Recipe, count: int, rounds: int) -> tuple[float, float]:
    """Microseconds per image: ours, torchvision's."""
    count = min(count, 16 * recipe.batch_size)
    shape = (count, recipe.stored, recipe.stored, 3)
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    planes = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
    times = [
        (cpu_us(lambda: in_batches(images, recipe), count), cpu_us(lambda: one_by_one(planes, recipe), count))
        for _ in range(rounds + 1)
    ][1:]  # the first round warms up
    return median(mine for mine, _ in times), median(theirs for _, theirs in times)


def main() -> None:
    parser = ArgumentParser(
        prog="python -m benchmarks.augment", description=__doc__, formatter_class=RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=2048)
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{given.rounds} rounds, {given.images} images, load {os.getloadavg()[0]:.1f}; us of CPU per image")
    print(f"{'':42} {'batches':>9} {'v2':>9} {'ratio':>7}")
    figures = {name: compare(recipe, given.images, given.rounds) for name, recipe in RECIPES.items()}
    for name, (ours, theirs) in figures.items():
        print(f"{name:42} {ours:9.1f} {theirs:9.1f} {theirs / ours:7.1f}")
    sys.exit(figures["crop, flip, 32 px"][0] > PROMISED_US)


if __name__ == "__main__":
    main()
