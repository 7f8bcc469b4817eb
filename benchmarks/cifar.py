"""Small folders of images for benchmarks, taken from CIFAR-10 as JPEG files."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

JPEG_QUALITY = 90


def sample_folder(source: Path, target: Path, train: int, val: int, size: int = 32) -> None:
    """Writes `target`/{train,val}/<class>/, so many images each, spread evenly over the classes.

    source: has {train,test}/<class>/; val comes from its test. size: above 32 px the images are scaled up (bicubic) and
    written anew, which makes them smoother than photographs of that size. Raises ValueError where images are missing.
    """
    classes = _classes(source)
    for split, count in (("train", train), ("test", val)):
        for number, name in enumerate(classes):
            place = target / ("train" if split == "train" else "val") / name
            place.mkdir(parents=True)
            for file in _first(source / split / name, count // len(classes) + (number < count % len(classes))):
                _write(file, place / file.name, size)


def _classes(source: Path) -> list[str]:
    names = sorted(place.name for place in (source / "train").glob("*/"))
    if not names:
        raise ValueError(f"{source} has no train/<class>/ folders; give the folder of CIFAR-10's JPEG files")
    return names


def _first(folder: Path, count: int) -> Iterator[Path]:
    files = sorted(folder.iterdir())
    if len(files) < count or count < 1:
        raise ValueError(f"{folder} holds {len(files)} images and {count} are wanted; change --images")
    return iter(files[:count])


def _write(file: Path, target: Path, size: int) -> None:
    if size == 32:
        shutil.copyfile(file, target)
        return
    with Image.open(file) as image:
        image.resize((size, size), Image.Resampling.BICUBIC).save(target, quality=JPEG_QUALITY)
