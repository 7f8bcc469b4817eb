"""From a JPEG's bytes to what a network takes: this project beside timm's evaluation transform.

    python -m benchmarks.preprocessing [--rounds 7]

Two photos that scikit-learn brings, at 500 x 375, and scaled up to 4000 x 3000 (smooth, as large photos are beside
their number of pixels). timm: Pillow decodes, resizes the short side to 256 (bicubic), crops 224 and makes a tensor,
normalised. This project: uint8 pixels, since the engines normalise. `exact` is equal within one grey level; `scaled`
decodes large files smaller, which the manifest says and training's evaluation does too. CPU seconds, interleaved, the
median over rounds of the ratio within a round; the mean and largest difference in grey levels from timm's.
"""

import io
import time
from argparse import ArgumentParser, RawTextHelpFormatter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from statistics import median
from typing import Any

import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_sample_images
from timm.data.transforms_factory import create_transform

from datamodule.preprocessing import Preprocessing

EXACT = Preprocessing(224, 224, 3, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), "bicubic", 0.875)
SIZES = {(500, 375): ("exact", 1.7), (4000, 3000): ("scaled", 6.0)}  # which is promised how many times as fast
SHOTS = 568, 426  # the part of a sample photo that has the shape of the sizes


def photo(pixels: Any, size: tuple[int, int]) -> bytes:
    file = io.BytesIO()
    whole = Image.fromarray(pixels).crop((0, 0, *SHOTS))
    whole.resize(size, Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
    return file.getvalue()


def ours(shape: Preprocessing, data: bytes) -> Any:
    return shape.fit(shape.read(data))


def theirs(transform: Any, data: bytes) -> Any:
    return transform(Image.open(io.BytesIO(data)).convert("RGB"))


def pixels_of(tensor: Any) -> Any:
    """timm's answer in grey levels again (H, W, C)."""
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (EXACT.mean, EXACT.std))
    return (255 * (tensor * std + mean)).round().permute(1, 2, 0).numpy()


def cpu(call: Callable[[], object], times: int) -> float:
    began = time.process_time()
    for _ in range(times):
        call()
    return (time.process_time() - began) / times


def main() -> None:
    parser = ArgumentParser(description=__doc__, formatter_class=RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    torch.set_num_threads(1)
    transform: Any = create_transform(224, is_training=False, interpolation="bicubic", crop_pct=0.875)
    shapes = {"exact": EXACT, "scaled": replace(EXACT, decode="scaled")}
    for size, promise in SIZES.items():
        for number, pixels in enumerate(load_sample_images().images):
            compared(f"{size[0]} x {size[1]}, photo {number}", photo(pixels, size), transform, shapes, given.rounds)
        print(f"promised: {promise[0]} {promise[1]} times as fast\n")


def compared(name: str, data: bytes, transform: Any, shapes: dict[str, Preprocessing], rounds: int) -> None:
    """A line for each of this project's ways."""
    calls: dict[str, Callable[[], Any]] = {"timm": partial(theirs, transform, data)}
    calls |= {way: partial(ours, shape, data) for way, shape in shapes.items()}
    times = 1 if len(data) > 300_000 else 20
    seconds = [{way: cpu(call, times) for way, call in calls.items()} for _ in range(rounds + 1)][1:]
    reference = pixels_of(calls["timm"]())
    for way in shapes:
        gap = np.abs(calls[way]() - reference)
        ms = [1000 * median(one[side] for one in seconds) for side in ("timm", way)]
        ratio = median(one["timm"] / one[way] for one in seconds)
        print(f"{name:28} {len(data) // 1000:5,} kB  timm {ms[0]:7.2f} ms, {way:6} {ms[1]:6.2f} ms: "
              f"{ratio:5.2f} times; differs by {gap.mean():.3f}, at most {gap.max():.0f}")  # fmt: skip


if __name__ == "__main__":
    main()
