"""What a model answered on its own evaluation set, and these images' embeddings: what today's are held against."""

import csv
import io
import logging
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file
from sqlalchemy import Row, select

from datamodule.heads import heads_in
from datamodule.inventory import SEVERAL
from serving.delivery import EMBEDDINGS, MASKS
from serving.monitoring.scores import LONGEST, Kept, kept, stepped, sureness
from serving.promotion import Measured
from serving.store import Store
from serving.tables import evaluation

log = logging.getLogger(__name__)

Array = NDArray[Any]
Rows = Sequence[dict[str, str]]

NOTHING = Kept(None, None, None)
MOST_CACHED = 16  # models
MOST_IMAGES = 5_000  # of a reference


class Reference(NamedTuple):
    """kept: as of the answers; names: of the scores' columns; set_digest: of the evaluation set, where there is one."""

    kept: Kept
    names: list[str]
    set_digest: str | None

    @property
    def images(self) -> int:
        return next(len(part) for part in self.kept if part is not None)


class References:
    """Those of a store's models, read once."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._known: dict[int, Reference | None] = {}

    def of(self, number: int) -> Reference | None:
        """None where a model came with nothing of its evaluation set that can be compared."""
        if number not in self._known:
            while len(self._known) >= MOST_CACHED:
                self._known.pop(next(iter(self._known)), None)
            self._known[number] = self._readable(number)
        return self._known[number]

    def _readable(self, number: int) -> Reference | None:
        """None also where files are damaged or gone: answers are kept and shown all the same."""
        try:
            return self._read(number)
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            log.warning("model %d has no reference, since its files cannot be read: %r", number, error)
            return None

    def _read(self, number: int) -> Reference | None:
        """Predictions of the first evaluation: the ones after it are on other models' sets."""
        query = (
            select(evaluation.c.set_digest).where(evaluation.c.model_id == number).order_by(evaluation.c.id).limit(1)
        )
        with self.store.database.read() as connection:
            digest = connection.execute(query).scalar()
            measured = self.store.measured(connection, number, digest) if digest else None
            row = self.store.row(connection, number)
        names = names_of(row.task, row.classes)
        answers = self._masks(row, names) if row.task == "segmentation" else _answers(measured, names)
        whole = answers._replace(embedding=self._brought(row.golden_sha256, EMBEDDINGS))
        return None if all(part is None for part in whole) else Reference(whole, names, digest)

    def _masks(self, row: Row[Any], names: Sequence[str]) -> Kept:
        """Brought beside the golden batch, since a table of masks says how right they are, not what they show."""
        found = self._brought(row.golden_sha256, MASKS)
        return NOTHING if found is None or found.shape[1] != len(names) + 1 else kept(row.task, names, found, None)

    def _brought(self, golden: str | None, name: str) -> Array | None:
        """(images, values) that a model brought beside its golden batch; None where it did not, or not as numbers."""
        if golden is None or not self.store.blobs.has(golden):
            return None
        found = load_file(self.store.blobs.path(golden)).get(name)
        return found if found is not None and found.ndim == 2 and found.size and np.isfinite(found).all() else None


def _answers(measured: Measured | None, names: Sequence[str]) -> Kept:
    table = None if measured is None else measured.table()
    rows = [] if table is None else some_of(table)
    return of_table(measured.task, names, rows) if measured is not None and rows else NOTHING


def some_of(table: str) -> list[dict[str, str]]:
    """The rows of a CSV; of very many every so many-th, since they may be ordered by class."""
    every = 1 + table.count("\n") // MOST_IMAGES
    return list(islice(csv.DictReader(io.StringIO(table)), 0, None, every))


def names_of(task: str, classes: Sequence[str]) -> list[str]:
    """Of the scores' columns; a single target may have no name, a single class of masks has a background."""
    if task == "segmentation" and len(classes) == 1:
        return ["background", *classes]
    return list(classes) or ["value"]


def of_table(task: str, names: Sequence[str], rows: Rows) -> Kept:
    """A table of predictions as models.prediction_table writes it, as answers are kept."""
    told: dict[str, Callable[[Sequence[str], Rows], Kept]] = {
        "classification": _classes,
        "heads": _heads,
        "multilabel": _labels,
        "regression": _values,
    }
    return told[task](names, rows)


def _classes(names: Sequence[str], rows: Rows) -> Kept:
    return Kept([row["predicted"][:LONGEST] for row in rows], _column(rows, "probability"), _shares(names, rows))


def _heads(names: Sequence[str], rows: Rows) -> Kept:
    heads = heads_in(names)
    choice = [SEVERAL.join(row[f"predicted:{head.name}"] for head in heads)[:LONGEST] for row in rows]
    confidence = np.mean([_column(rows, f"probability:{head.name}") for head in heads], axis=0)
    return Kept(choice, confidence, _shares(names, rows))


def _labels(names: Sequence[str], rows: Rows) -> Kept:
    choice, probs = [row["predicted"][:LONGEST] for row in rows], _table(rows, [f"p:{name}" for name in names])
    return Kept(choice, None, None) if probs is None else Kept(choice, sureness(probs), stepped(probs))


def _values(names: Sequence[str], rows: Rows) -> Kept:
    values = _table(rows, [f"predicted:{name}" for name in names])
    return Kept(None, None, None if values is None else values.astype(np.float32))


def _shares(names: Sequence[str], rows: Rows) -> Array | None:
    probs = _table(rows, [f"p:{name}" for name in names])
    return None if probs is None else stepped(probs)


def _table(rows: Rows, columns: Sequence[str]) -> Array | None:
    """(rows, columns); None where the table does not have them, as where there are too many classes."""
    if any(column not in rows[0] for column in columns):
        return None
    return np.array([[float(row[column]) for column in columns] for row in rows])


def _column(rows: Rows, name: str) -> Array:
    return np.array([float(row[name]) for row in rows])
