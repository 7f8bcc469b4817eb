"""Prediction over Ray Data: the images are spread over the machines of a Ray cluster, the rows come back in order."""

import importlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datamodule.locations import Image
from models.prediction_settings import PredictionSettings
from models.predictor import Answers, Predictor
from utils.ray_session import connected

WINDOW = 100_000  # images whose names are with Ray at a time
MODEL = ("model.json", "model.safetensors")


@contextmanager
def ray_predictor(folder: Path, chosen: PredictionSettings, masks: str, workers: int) -> Iterator["RayPredictor"]:
    """On the cluster of the environment's RAY_ADDRESS; without one, on Ray on this machine."""
    ray = _ray()
    with connected(os.environ.get("RAY_ADDRESS"), "RAY_ADDRESS", own={}, sends_code=True):
        yield RayPredictor(ray, folder, chosen, masks, workers)


class RayPredictor:
    """The same answers as `Predictor`'s, by one process for each GPU, or for `workers` cores where there is none.

    The project and the model are sent along; images that are not at a URL have to lie at the same path on every
    machine.
    """

    def __init__(self, ray: Any, folder: Path, chosen: PredictionSettings, masks: str, workers: int) -> None:
        self.ray = ray
        self.options: dict[str, Any] = {"chosen": chosen, "masks": masks, "workers": workers}
        self.batch_size = chosen.batch_size
        self.options["model"] = self.ray.put({name: (folder / name).read_bytes() for name in MODEL})
        self.resources = self._resources(chosen, workers)

    def answers(self, images: Iterator[Image]) -> Answers:
        while window := list(islice(images, WINDOW)):
            waiting = iter(window)
            for rows in self._rows(window):
                yield list(islice(waiting, len(rows))), rows

    def _rows(self, window: list[Image]) -> Iterator[list[list[str]]]:
        context = self.ray.data.DataContext.get_current()
        context.execution_options.preserve_order = True
        context.enable_progress_bars = False
        answered = self.ray.data.from_items([image._asdict() for image in window]).map_batches(
            Worker, fn_constructor_kwargs=self.options, batch_size=self.batch_size, **self.resources
        )
        for batch in answered.iter_batches(batch_size=self.batch_size, batch_format="numpy"):
            yield [json.loads(row) for row in batch["row"]]

    def _resources(self, chosen: PredictionSettings, workers: int) -> dict[str, Any]:
        """A process a GPU, or one for every `workers` cores, as many as the cluster has room for."""
        has = self.ray.cluster_resources()
        gpus = 0 if chosen.device == "cpu" else int(has.get("GPU", 0))
        if gpus:
            return {"num_gpus": 1, "concurrency": gpus}
        cpus = max(1, min(workers, int(has["CPU"]) - 1))
        return {"num_cpus": cpus, "concurrency": max(1, (int(has["CPU"]) - 1) // cpus)}


class Worker:
    """One process of Ray's: a predictor, made once, for batches of {"name", "address"}."""

    def __init__(self, model: Any, chosen: PredictionSettings, masks: str, workers: int) -> None:
        self.chosen, self.workers = chosen, workers
        with tempfile.TemporaryDirectory() as folder:
            for name, content in _ray().get(model).items():
                (Path(folder) / name).write_bytes(content)
            self.predictor = Predictor(Path(folder), chosen, masks)

    def __call__(self, batch: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        images = [Image(str(name), str(address)) for name, address in zip(batch["name"], batch["address"], strict=True)]
        rows = [row for _, own in self.predictor.answers(images, len(images), self.workers) for row in own]
        return {"row": np.array([json.dumps(row) for row in rows], object)}


def _ray() -> Any:
    try:
        importlib.import_module("ray.data")
        return importlib.import_module("ray")
    except ImportError as error:
        raise ValueError("ray=True needs Ray Data: pip install -r requirements-ray.txt") from error
