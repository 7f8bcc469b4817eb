"""A model file at work on images without labels: read and decoded by threads, answered in batches, as rows of text."""

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from datamodule.decode import BadImage, Pixels
from datamodule.locations import Image, contents
from datamodule.preprocessing import Preprocessing
from datamodule.transforms import Normalize
from models.manifest import preprocessing as preprocessing
from models.model_file import load_model
from models.prediction_settings import PredictionSettings
from models.rendering import View, renderer
from utils.log import first_line

CHUNK = 16  # images that a thread reads and decodes at a time
NOT_FINITE = "the network's answer is not a number"
Rows = list[list[str]]  # path, the task's fields, error
Answers = Generator[tuple[Sequence[Image], Rows], None, None]


class Seen(NamedTuple):
    """A few images as the network is shown them: those that can be read, and what is wrong with the others."""

    pixels: list[Pixels]  # (height, width, channels) each
    views: list[View]  # of the same images
    errors: list[str]  # of every image; "" where it can be read


class Predictor:
    """Images in, rows out: the same pixels as in training's evaluation, in float32.

    folder: a run or model folder. masks: where a segmentation's PNG files go.
    """

    def __init__(self, folder: Path, chosen: PredictionSettings, masks: str) -> None:
        net, self.manifest = load_model(folder)
        self.device = device(chosen.device)
        self.net = net.to(self.device)
        self.preprocessing = preprocessing(self.manifest)
        self.normalize = Normalize(self.preprocessing.mean, self.preprocessing.std)
        self.render = renderer(self.manifest, chosen, self.preprocessing, masks)

    def answers(self, images: Iterable[Image], batch_size: int, workers: int) -> Answers:
        """Batches in the images' order; a few of them are read ahead, the rest waits in `images`."""
        for batch, seen in looks(images, self.preprocessing, batch_size, workers):
            yield batch, self.rows(batch, seen)

    def rows(self, images: Sequence[Image], seen: Seen) -> Rows:
        """One row an image, in their order."""
        empty = [""] * len(self.render.columns)
        told = iter(self._told(seen) if seen.pixels else [])
        fields = [(empty, error) if error else next(told) for error in seen.errors]
        return [[image.name, *own, error] for image, (own, error) in zip(images, fields, strict=True)]

    def _told(self, seen: Seen) -> list[tuple[list[str], str]]:
        logits = self.logits(np.stack(seen.pixels))
        finite = [bool(np.isfinite(own).all()) for own in logits]
        rendered = self.render(logits, seen.views)
        empty = [""] * len(self.render.columns)
        return [(own, "") if good else (empty, NOT_FINITE) for own, good in zip(rendered, finite, strict=True)]

    @torch.inference_mode()
    def logits(self, pixels: Pixels) -> NDArray[np.float32]:
        """(n, height, width, channels) → (n, …); where memory runs out, half of them at a time."""
        try:
            image = torch.from_numpy(pixels).to(self.device).permute(0, 3, 1, 2)
            answered: NDArray[np.float32] = self.net(self.normalize(image)).float().cpu().numpy()
            return answered
        except torch.OutOfMemoryError:
            if len(pixels) == 1:
                raise
        half = len(pixels) // 2
        return np.concatenate([self.logits(pixels[:half]), self.logits(pixels[half:])])


def looks(
    images: Iterable[Image], shape: Preprocessing, batch_size: int, workers: int
) -> Iterator[tuple[list[Image], Seen]]:
    """Batches as the network sees them. At most two for each thread, or two in all, are decoded and not yet taken."""
    pool = ThreadPoolExecutor(workers)
    ahead = max(2, -(-2 * workers * CHUNK // batch_size))
    waiting: deque[tuple[list[Image], list[Future[Seen]]]] = deque()
    try:
        for batch in _batches(images, batch_size):
            waiting.append((batch, [pool.submit(look, chunk, shape) for chunk in _batches(batch, CHUNK)]))
            if len(waiting) > ahead:
                yield _joined(*waiting.popleft())
        while waiting:
            yield _joined(*waiting.popleft())
    finally:
        pool.shutdown(cancel_futures=True)


def look(images: Sequence[Image], shape: Preprocessing) -> Seen:
    """Reads, decodes and fits as training's evaluation does; what cannot be read leaves its reason."""
    seen = Seen([], [], [])
    for image, data in zip(images, contents([image.address for image in images]), strict=True):
        try:
            pixels = _decoded(data, shape)
        except BadImage as error:
            seen.errors.append(str(error))
            continue
        seen.pixels.append(shape.fit(pixels))
        seen.views.append(View(image.name, *pixels.shape[:2]))
        seen.errors.append("")
    return seen


def _decoded(data: bytes | str, shape: Preprocessing) -> Pixels:
    if isinstance(data, str):
        raise BadImage(data)
    return shape.read(data)


def _joined(batch: list[Image], parts: list[Future[Seen]]) -> tuple[list[Image], Seen]:
    joined = Seen([], [], [])
    for part in parts:
        pixels, views, errors = part.result()
        joined.pixels.extend(pixels)
        joined.views.extend(views)
        joined.errors.extend(errors)
    return batch, joined


def _batches(images: Iterable[Image], size: int) -> Iterator[list[Image]]:
    images = iter(images)
    while batch := list(islice(images, size)):
        yield batch


def device(name: str) -> torch.device:
    """The named device; auto: the best that this machine has. Raises ValueError for one that it has not."""
    if name == "auto":
        return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        why = first_line(error)
        raise ValueError(f"device={name} cannot be used ({why}); use auto, cpu, cuda, cuda:1 or mps") from error
