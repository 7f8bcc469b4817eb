"""Keeps what was answered, in batches and off the way of requests; a crash loses the last seconds of it, at most."""

import logging
import time
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import groupby
from threading import Event, Lock, Thread
from typing import Any

import numpy as np
from sqlalchemy import func, insert, select
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError

from serving.database import Database
from serving.monitoring.answered import Answered
from serving.monitoring.scores import Kept, kept
from serving.monitoring.windows import Place, Windows
from serving.tables import model, prediction

log = logging.getLogger(__name__)

MOST_WAITING = 50_000  # answers between two writes; further ones are counted and lost
MOST_WRITTEN = 2_000  # in one transaction
FLUSH_SECONDS = 2.0
TIDY_SECONDS = 60.0
SAID = ("choice", "confidence", "scores")


class Monitor:
    """Takes answers from any thread, writes them in one of its own.

    keep: the newest so many answers stay, 0: none is written. days: for so long at most.
    """

    def __init__(
        self, database: Database, windows: Windows, keep: int, days: float, seconds: float = FLUSH_SECONDS
    ) -> None:
        self.database, self.windows, self.keep, self.days, self.seconds = database, windows, keep, days, seconds
        self.lost = 0  # answers that nobody could write in time
        self._waiting: deque[Answered] = deque()
        self._models: dict[int, tuple[str, list[str]]] = {}
        self._thread: Thread | None = None
        self._writing, self._end, self._tidied = Lock(), Event(), 0.0

    def record(self, answered: Sequence[Answered]) -> None:
        """Takes microseconds: what was answered waits here for the next write."""
        if not self.keep:
            return
        if len(self._waiting) + len(answered) > MOST_WAITING:
            self.lost += len(answered)
            return
        self._waiting.extend(answered)
        if self._thread is None:
            self._start()

    def _start(self) -> None:
        self._thread = Thread(target=self._run, name="monitor", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._end.wait(self.seconds):
            self._write_all()

    def _write_all(self) -> None:
        try:
            self.flush()
        except Exception:  # the thread's outermost loop: monitoring must not end because of one bad batch
            log.exception("answers could not be kept for the monitoring")

    def close(self) -> None:
        """Writes what waits, and ends."""
        if self._thread is not None:
            self._end.set()
            self._thread.join()
            self._thread = None
            self._end.clear()
            self._write_all()

    def flush(self) -> None:
        """Writes all that waits now, judges the windows that are full, deletes what is too old."""
        with self._writing:
            places: set[Place] = set()
            while batch := [self._waiting.popleft() for _ in range(min(len(self._waiting), MOST_WRITTEN))]:
                self._write(batch)
                live = [one for one in batch if one.role == "live"]
                places |= {Place(one.endpoint, one.generation, one.model_id) for one in live}
            for place in sorted(places, key=lambda one: (one.endpoint, one.generation)):
                if place.model_id in self._models:
                    self.windows.check(place)
            if time.monotonic() - self._tidied > TIDY_SECONDS:
                self._tidy()

    def _write(self, batch: list[Answered]) -> None:
        """In one transaction; what a database that is down does not take waits on, what it refuses is lost."""
        try:
            rows = list(self._rows(batch))
            with self.database.write() as connection:
                if rows:
                    connection.execute(insert(prediction), rows)
        except (DataError, IntegrityError):
            self.lost += len(batch)
            raise
        except SQLAlchemyError:
            self._waiting.extendleft(reversed(batch))
            raise

    def _rows(self, batch: list[Answered]) -> Iterator[dict[str, Any]]:
        """Those of a model with its scores at once; a model that the store does not know has none."""
        for number, group in groupby(batch, lambda one: one.model_id):
            own = list(group)
            facts = self._facts(number)
            if facts is not None:
                yield from (_row(one) | said for one, said in zip(own, _said(*facts, own), strict=True))

    def _facts(self, number: int) -> tuple[str, list[str]] | None:
        """A model's task and classes."""
        if number not in self._models:
            query = select(model.c.task, model.c.classes).where(model.c.id == number)
            with self.database.read() as connection:
                row = connection.execute(query).first()
            if row is None:
                return None
            self._models[number] = (row.task, list(row.classes))
        return self._models[number]

    def _tidy(self) -> None:
        self._tidied = time.monotonic()
        with self.database.write() as connection:
            newest = connection.execute(select(func.max(prediction.c.id))).scalar() or 0
            connection.execute(prediction.delete().where(prediction.c.id <= newest - self.keep))
            connection.execute(prediction.delete().where(prediction.c.at < time.time() - self.days * 86_400))
            self.windows.forget(connection, self.days)


def _row(one: Answered) -> dict[str, Any]:
    return {
        "key": one.id,
        "endpoint": one.endpoint,
        "generation": one.generation,
        "model_id": one.model_id,
        "role": one.role,
        "at": one.at,
        "image_sha256": one.image_sha256,
        "embedding": None if one.embedding is None else one.embedding.tolist(),
        "latency_ms": one.latency_ms,
    }


def _said(task: str, classes: Sequence[str], own: Sequence[Answered]) -> Iterator[dict[str, Any]]:
    """choice, confidence and scores of each answer; of what is no number, none."""
    usable = [place for place, one in enumerate(own) if np.isfinite(one.logits).all()]
    found = Kept(None, None, None)
    if usable:
        logits = np.stack([np.ravel(own[place].logits) for place in usable])
        found = kept(task, classes, logits, own[usable[0]].temperature)
    parts = [None if part is None else np.asarray(part).tolist() for part in (getattr(found, name) for name in SAID)]
    where = {place: number for number, place in enumerate(usable)}
    for place in range(len(own)):
        told = [None if part is None or place not in where else part[where[place]] for part in parts]
        yield dict(zip(SAID, told, strict=True))
