"""What all strategies of a run share: data, journal, embeddings, and how a network is looked at."""

import csv
import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from active.embeddings import kept, pixels
from active.look import features_of
from active.rounds import Trainings
from active.settings import ActiveSettings
from active.state import ModelState
from active.stopping import Rule
from active.view import Array, Floats, Places, unit
from datamodule.inventory import Rows, Words
from datamodule.pool import PoolData
from models.model_file import load_model
from models.run import Run
from utils.journal import Journal

STOP_SET = 2000  # images on which two rounds' predictions are compared
SMALL = 4096  # pixel values up to which pixels serve as embeddings without labels


@dataclass(frozen=True, eq=False)
class Bench:
    """run: of the whole. rules: that may stop it. device: where networks are looked at."""

    run: Run
    settings: ActiveSettings
    data: PoolData
    journal: Journal
    trainings: Trainings
    state: ModelState
    rules: tuple[Rule, ...]

    @cached_property
    def rows(self) -> Rows:
        """The candidates, as a view has them."""
        return self.data.candidates

    @cached_property
    def shas(self) -> Words:
        return self.data.inventory.sha256[self.rows]

    @cached_property
    def place(self) -> dict[str, int]:
        """sha256 → place in a view."""
        return {sha: place for place, sha in enumerate(self.shas)}

    @cached_property
    def key(self) -> Array:
        return np.fromiter((int(sha[:16], 16) for sha in self.shas), np.uint64, len(self.shas))

    @cached_property
    def judging(self) -> Rows:
        """The labelled images that accuracy is measured on: test, or val where there is none."""
        inventory = self.data.inventory
        return inventory.rows("test") if len(inventory.rows("test")) else inventory.rows("val")

    @cached_property
    def reference(self) -> Rows:
        """The labelled images that the pool is compared with: val, or test where there is none."""
        inventory = self.data.inventory
        return inventory.rows("val") if len(inventory.rows("val")) else inventory.rows("test")

    @cached_property
    def stop_set(self) -> Places:
        """Places of the fixed images on which rounds are compared."""
        return np.argsort(self.key, kind="stable")[:STOP_SET]

    def codes(self, rows: Rows) -> Places:
        """Class numbers by the source."""
        return self.data.inventory.codes()[rows]

    @cached_property
    def cost(self) -> Array:
        """(N,) of each candidate's label."""
        if self.settings.costs is None:
            return np.ones(len(self.rows))
        return costs(Path(self.settings.costs), [str(path) for path in self.data.inventory.path[self.rows]])

    @cached_property
    def source(self) -> str:
        """What likeness is measured on: pixels, network, ssl."""
        chosen = self.settings.embeddings
        if chosen != "auto":
            return chosen
        if self._began_with is not None:
            return "network"
        shape = self.data.preprocessing
        return "pixels" if shape.height * shape.width * shape.channels <= SMALL else "ssl"

    def embedding(self, folder: Path | None) -> Floats:
        """(N, D), rows of length 1. folder: of the model, None before there is one."""
        model = folder or self._began_with
        return self._of_network(model) if self.source == "network" and model is not None else self._fixed

    @property
    def _began_with(self) -> Path | None:
        """The folder of the model that the first round starts from; bare weights without a manifest have none."""
        folder = None if self.trainings.first is None else Path(self.trainings.first).parent
        return folder if folder is not None and Run(folder).finished else None

    @cached_property
    def _fixed(self) -> Floats:
        if self.source == "ssl":
            return self._self_supervised()
        shape = self.data.preprocessing
        name = f"pixels {shape.height} {shape.width} {shape.channels} {shape.interpolation} {shape.crop}"
        return unit(self._kept(name, lambda: pixels(self.data, self.rows)))

    def _of_network(self, folder: Path) -> Floats:
        net, manifest = load_model(folder)
        return unit(self._kept(manifest.weights_sha256, lambda: features_of(net, self.data, self.rows)))

    def _self_supervised(self) -> Floats:
        from active.self_supervised import chosen_speed, learnt
        from models.speed import Speed

        config = self.trainings.config
        given = self.data, self.rows, config, self.settings.ssl_epochs, int(config["seed"])
        speed = self.journal.once("run", "ssl speed", lambda: {"mode": chosen_speed(*given[:-1]).mode})["mode"]
        chosen = repr((config["models"], *given[3:], self.data.preprocessing, speed))
        name = f"simclr {hashlib.sha256(chosen.encode()).hexdigest()}"
        return unit(self._kept(name, lambda: learnt(*given, Speed(speed))))

    def _kept(self, source: str, make: Any) -> Floats:
        folder = Path(self.data.cache_dir)
        return kept(folder, self.shas.tolist(), source, self.settings.precision, make)


def costs(file: Path, paths: list[str]) -> Array:
    """Of each path, from a CSV with the columns path and cost. Raises ValueError for a path that it lacks."""
    if not file.is_file():
        raise ValueError(f"active.costs={file}: there is no such file; give a CSV with the columns path and cost")
    with file.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    if rows and not {"path", "cost"} <= set(rows[0]):
        raise ValueError(f"active.costs={file}: its columns are {', '.join(rows[0])}; it needs path and cost")
    told = {row["path"]: float(row["cost"]) for row in rows}
    missing = [path for path in paths if path not in told]
    if missing:
        raise ValueError(f"active.costs={file}: no cost for {len(missing)} images, {missing[0]} first")
    found = np.array([told[path] for path in paths])
    if (found <= 0).any():
        raise ValueError(f"active.costs={file}: costs must be above 0, found {found.min():g}")
    return found
