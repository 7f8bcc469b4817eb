"""The engines of a tested model side by side: for test.py, which hands it to models.testing."""

import csv
import io
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from datamodule.data import ImageData
from datamodule.decode import Pixels
from datamodule.labelled import Labelled
from datamodule.statistics import spread_out
from models.candidate import Candidate
from models.model_file import Manifest, save_model, weights_sha256
from models.run import Run
from models.tester_settings import TesterSettings
from serving.engines.auto import Auto, Choice, Tried
from serving.engines.cache import place, size_bytes
from serving.engines.gate import Array, merit
from serving.engines.memory import peak_mib
from serving.engines.source import Source, source_of
from serving.engines.timing import Timed
from utils.charts import Axis, Chart, Series
from utils.files import write_whole

BATCHES = (1, 8, 32)
MIB = 2**20
ROOM = 512 * MIB  # for the gate's images, where it may look at more than `images`
SHARED = "; every fourth calibrates int8, the others judge"
COLUMNS = ("engine", "precision", "device", "any batch", "accepted", "why", "agreement", "accuracy", "batch", "p50_ms",
           "p95_ms", "p99_ms", "images_per_s", "size_mib", "peak_mib", "ready_after_s")  # fmt: skip


class EngineTable:
    """Which engine was chosen and why, and of each: verdict, latency, throughput, size on disk, peak memory."""

    def __init__(self, choice: Choice, source: Source, images: str, batch: int, measured: bool) -> None:
        self.choice, self.batch, self.merit = choice, batch, merit(source.task).capitalize()
        refused = [f"{one.maker.label}: {one.verdict.why}" for one in choice.tried if not one.timed]
        told = {"refused": "\n         ".join(refused)} if refused else {}
        self.facts = {"engine": choice.why, "gate": images} | told
        self.sizes = {one.maker.label: _size_mib(one, source) for one in choice.tried}
        self.peaks = {one.maker.label: peak_mib(one.maker, source, batch) for one in self.fit if measured}

    @property
    def fit(self) -> list[Tried]:
        return [one for one in self.choice.tried if one.timed]

    def table(self) -> Table:
        """For the terminal: those that passed the gate, with the batch size of each rate."""
        table = Table()
        for title in ("Engine", "Agrees", self.merit, "p50, p95, p99", "Images/s", "On disk", "Peak memory"):
            table.add_column(title)
        for one in self.fit:
            table.add_row(*self._cells(one, one.timed or {}))
        return table

    def _cells(self, one: Tried, timed: Mapping[int, Timed]) -> list[str]:
        first, label = timed[self.batch], one.maker.label
        rates = ", ".join(f"{found.images_per_s:,.0f} ({size})" for size, found in sorted(timed.items()))
        own = one.verdict.accuracy
        return [
            f"{label}{' *' if one is self.choice.chosen else ''}", f"{one.verdict.agreement:.2%}",
            "" if own is None else f"{own:.2%}", f"{first.p50_ms:.2f}, {first.p95_ms:.2f}, {first.p99_ms:.2f} ms",
            rates, f"{self.sizes[label]:.1f} MiB", _mib(self.peaks.get(label)),
        ]  # fmt: skip

    def write(self, folder: Path) -> dict[str, Path]:
        """engines.csv and engines.png."""
        from utils.plots import png

        files = {"engines": folder / "engines.csv", "plot": folder / "engines.png"}
        write_whole(files["engines"], self.csv())
        write_whole(files["plot"], png(self.chart()))
        return files

    def csv(self) -> str:
        """A line for each engine and batch size; one without figures for each that was refused."""
        stream = io.StringIO(newline="")
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(COLUMNS)
        for one in self.choice.tried:
            writer.writerows(self._lines(one))
        return stream.getvalue()

    def _lines(self, one: Tried) -> Iterator[list[Any]]:
        facts, label = one.engine.facts if one.engine else None, one.maker.label
        head = [label, *((facts.precision, facts.device, facts.dynamic_batch) if facts else ("", "", ""))]
        head += [one.accepted, one.verdict.why, one.verdict.agreement if facts else "", one.verdict.accuracy]
        tail = [self.sizes[label], self.peaks.get(label), one.seconds] if facts else ["", "", ""]
        for size, timed in sorted((one.timed or {}).items()):
            yield [*head, size, timed.p50_ms, timed.p95_ms, timed.p99_ms, timed.images_per_s, *tail]
        if not one.timed:
            yield [*head, *[""] * 5, *tail]

    def chart(self) -> Chart:
        """Throughput of those that passed, for each batch size."""
        names = tuple(one.maker.label for one in self.fit)
        times = [one.timed or {} for one in self.fit]
        colors = ("train", "val", "accent", "wrong")
        series = tuple(
            Series(f"batch {size}", names, [one[size].images_per_s for one in times], color, "bar")
            for size, color in zip(sorted(times[0]), colors, strict=False)
        )
        return Chart("engines", "How many images a second", series, Axis(categories=names), Axis("images/s"))


def compare_engines(
    auto: Auto, candidate: Candidate, run: Run | None, config: dict[str, Any], chosen: TesterSettings
) -> EngineTable:
    """Gates on the run's validation split, or where there is none on the images of the test."""
    most = max(auto.images, min(auto.most, ROOM // prod(candidate.data.preprocessing.sides))) * 4 // 3
    pixels, target, images = gate_images(candidate, most, own=run is not None and chosen.data is None)
    with model_folder(candidate, run, config, chosen) as folder:
        calibrating = np.arange(len(pixels)) % 4 == 3  # every fourth: no image judges what it calibrated
        source = source_of(folder, calibration=pixels[calibrating] if calibrating.any() else None)
        batches = BATCHES if chosen.measure_speed else ()
        choice = auto.choose(source, pixels[~calibrating], target[~calibrating], batches)
        return EngineTable(choice, source, images, auto.batch, measured=chosen.measure_speed)


def gate_images(candidate: Candidate, most: int, own: bool) -> tuple[Pixels, Array, str]:
    """Images as the model sees them, their targets, and which they are. own: the data has a validation split.

    Of more than `most` as many of all parts of the set, which is in the order of its classes.
    """
    data: ImageData = candidate.data
    found = _validation(data) if own and isinstance(data, Labelled) else None
    named = "images of the test, there is no validation split" if found is None else "images of the validation split"
    pixels, target = _read(data if found is None else found, most)
    return pixels, target, f"{len(pixels):,} {named}{SHARED}"


def _validation(data: Labelled) -> Labelled | None:
    inventory, skipped = data.source.settled()
    rows = inventory.rows("val")
    if not len(rows):
        return None
    found = Labelled(data.source, inventory.take(rows), skipped, data.preprocessing)
    found.prepare()
    return found


def _read(data: ImageData, most: int) -> tuple[Pixels, Array]:
    rows = spread_out(np.arange(len(data.inventory)), most)
    batches = list(data.rows_dataloader(rows, "engines"))
    pixels, target = (np.concatenate([batch[column].numpy() for batch in batches]) for column in (0, 1))
    return pixels, target


@contextmanager
def model_folder(
    candidate: Candidate, run: Run | None, config: dict[str, Any], chosen: TesterSettings
) -> Iterator[Path]:
    """The run's own; of a checkpoint or of timm's weights one that is gone afterwards, with its engines."""
    if run is not None and chosen.checkpoint == "auto":
        yield run.folder
        return
    with tempfile.TemporaryDirectory() as place_:
        save_model(Path(place_), candidate.net, _manifest(candidate, run, config))
        yield Path(place_)


def _manifest(candidate: Candidate, run: Run | None, config: dict[str, Any]) -> Manifest:
    shape, classes = candidate.data.preprocessing, list(candidate.data.classes)
    node = config["models"] if run is not None else {
        "_target_": "models.backbones.build_timm", "architecture": candidate.name, "pretrained": False,
        "stem": "imagenet",
    }  # fmt: skip
    known = {"num_classes": len(classes), "channels": shape.channels, "height": shape.height, "width": shape.width}
    return Manifest(
        task=candidate.task.name,
        architecture=node | known,
        classes=classes,
        preprocessing=vars(shape),
        weights_sha256=weights_sha256(candidate.net.state_dict()),
        parameters=sum(parameter.numel() for parameter in candidate.net.parameters()),
        metrics={},
        data_digest="",
        configuration_digest="",
    )


def _size_mib(one: Tried, source: Source) -> float:
    if one.engine is None:
        return 0.0
    if one.maker.converts:
        return size_bytes(place(one.maker, source)) / MIB
    return (source.folder / "model.safetensors").stat().st_size / MIB


def _mib(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f} MiB"
