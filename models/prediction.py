"""Applies a model to images without labels: from the settings of `predict.py` to a table of answers."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Thread

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from datamodule.locations import Image, Location, file_system, is_url, locate
from datamodule.parallel import cores
from models.model_file import Manifest, read_manifest
from models.prediction_file import PredictionFile
from models.prediction_settings import PredictionSettings
from models.predictor import Answers, Predictor, Rows, preprocessing
from models.ray_prediction import ray_predictor
from models.rendering import renderer
from models.runs import find
from utils.configuration import digest
from utils.words import images_a_second, many

log = logging.getLogger(__name__)

REMOTE_WORKERS = 16  # threads that mostly wait for the network


@dataclass(frozen=True)
class Summary:
    """What a call did. resumed: images that an earlier, interrupted call had answered, among `images`."""

    output: str
    images: int
    failed: int
    resumed: int
    seconds: float

    def __str__(self) -> str:
        resumed = f", {self.resumed:,} of them before the interruption" if self.resumed else ""
        failed = f", {self.failed:,} of them not answered" if self.failed else ""
        rate = (self.images - self.resumed) / max(self.seconds, 1e-9)
        images = many(self.images, "image")
        return f"{images}{resumed}{failed}; {self.seconds:.1f} s, {images_a_second(rate)}: {self.output}"


def predict(chosen: PredictionSettings) -> Summary:
    """Answers every image of the source. Raises ValueError for what cannot work, before anything is written."""
    began = time.monotonic()
    folder, location = model_folder(chosen), locate(chosen.source)
    manifest = read_manifest(folder)
    masks = mask_folder(chosen, location) if manifest.task == "segmentation" else ""
    columns = renderer(manifest, chosen, preprocessing(manifest), masks).columns
    _refuse_nothing(location)
    _refuse_to_replace(location, chosen.output)
    identity = configuration(chosen, location, manifest)
    with (
        _answering(folder, chosen, masks) as answer,
        PredictionFile(chosen.output, columns, identity, chosen.cache_dir) as table,
    ):
        with closing(answer(table.rest(location))) as answers, _bar(location, table.resumed) as advance:
            for images, rows in answers:
                table.append(images, _kept(rows, chosen), sum(row[-1] != "" for row in rows))
                advance(len(images))
        table.finish()
    return Summary(chosen.output, table.images, table.failed, table.resumed, time.monotonic() - began)


def model_folder(chosen: PredictionSettings) -> Path:
    """Where model.json lies: a folder that has one, or the run of that name."""
    folder = Path(chosen.run)
    return folder if (folder / "model.json").is_file() else find(chosen.run, chosen.logs).folder


def mask_folder(chosen: PredictionSettings, location: Location) -> str:
    """Beside the table. Raises ValueError where that is among the images: masks would be taken for some."""
    place = chosen.output[: -len(chosen.file_type)] + "_masks"
    absolute = place if is_url(place) else str(Path(place).resolve())
    if location.kind in ("folder", "glob") and f"{absolute}/".startswith(f"{location.root.rstrip('/')}/"):
        raise ValueError(f"output={chosen.output}: its masks would lie among the images; name a place outside of them")
    return absolute


def configuration(chosen: PredictionSettings, location: Location, manifest: Manifest) -> str:
    """Digest of all that decides the answers; batch size, threads and device may change between two parts."""
    wanted = {key: getattr(chosen, key) for key in ("source", "top_k", "threshold", "on_bad_image")}
    return digest(wanted | {"path": location.path, "model": manifest.model_dump()})


@contextmanager
def _answering(folder: Path, chosen: PredictionSettings, masks: str) -> Iterator[Callable[[Iterator[Image]], Answers]]:
    """What answers the images: this process, or Ray."""
    workers = _workers(chosen)
    if chosen.ray:
        with ray_predictor(folder, chosen, masks, workers) as spread:
            yield spread.answers
    else:
        yield partial(Predictor(folder, chosen, masks).answers, batch_size=chosen.batch_size, workers=workers)


def _workers(chosen: PredictionSettings) -> int:
    if isinstance(chosen.workers, int):
        return chosen.workers
    return REMOTE_WORKERS if is_url(chosen.source) else cores()


def _refuse_nothing(location: Location) -> None:
    if next(iter(location), None) is None:
        raise ValueError(f"source={location.source}: no image in it; {location.accepted}")


def _refuse_to_replace(location: Location, output: str) -> None:
    """Raises ValueError where the answers would take the place of what they answer, such as a list with labels."""
    if Location(output, "file", *file_system(output)).root == location.root:
        raise ValueError(f"output={output} is the source itself, which would be lost; name another file")


def _kept(rows: Rows, chosen: PredictionSettings) -> Rows:
    """The rows that go into the table, by on_bad_image."""
    if chosen.on_bad_image == "row":
        return rows
    bad = next((row for row in rows if row[-1]), None)
    if bad is not None and chosen.on_bad_image == "raise":
        raise ValueError(f"{bad[0]} {bad[-1]}; repair or remove it, or set on_bad_image=row")
    return [row for row in rows if not row[-1]]


@contextmanager
def _bar(location: Location, done: int) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal; how many images there are is counted beside the work."""
    console = Console(stderr=True)
    columns = (TextColumn("predicting"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"),
               TimeRemainingColumn())  # fmt: skip
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar, began = progress.add_task("", total=None, completed=done, rate=""), time.monotonic()
        if console.is_terminal:
            Thread(target=_count, args=(location, progress, bar), daemon=True).start()

        def advance(images: int) -> None:
            progress.advance(bar, images)
            rate = (progress.tasks[0].completed - done) / (time.monotonic() - began)
            progress.update(bar, rate=images_a_second(rate))

        yield advance


def _count(location: Location, progress: Progress, bar: TaskID) -> None:
    progress.update(bar, total=sum(1 for _ in location))
