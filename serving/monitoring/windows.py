"""Windows of answers, one after the other and never overlapping, each held against the reference once."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import Connection, Row, Select, func, insert, select

from serving.history import append
from serving.monitoring.drift import Verdict, judge
from serving.monitoring.reference import References
from serving.monitoring.scores import Kept
from serving.store import Store
from serving.tables import drift, prediction

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Place:
    """What is watched: the live answers of one generation."""

    endpoint: str
    generation: int
    model_id: int


class Windows:
    """size: answers of a window. alpha: how often a window that is like the reference is called drifted, at most."""

    def __init__(self, store: Store, size: int, alpha: float) -> None:
        self.database, self.references = store.database, References(store)
        self.size, self.alpha = size, alpha

    def check(self, place: Place) -> list[Verdict]:
        """Judges every window that is full by now; where drift begins or ends, log and history get a line."""
        found: list[Verdict] = []
        while (rows := self._next(place)) is not None:
            verdict = self._judged(place, rows)
            found += [] if verdict is None else [verdict]
        return found

    def waiting(self, place: Place) -> int:
        """Answers in the window that is not full yet."""
        with self.database.read() as connection:
            query = _unseen(connection, place).with_only_columns(func.count(), maintain_column_froms=True)
            return int(connection.execute(query.order_by(None)).scalar_one())

    def _next(self, place: Place) -> Sequence[Row[Any]] | None:
        """The next full window of a model that has a reference, which is read only when it is needed."""
        with self.database.read() as connection:
            unseen = _unseen(connection, place)
            last = connection.execute(unseen.with_only_columns(prediction.c.id).offset(self.size - 1).limit(1)).scalar()
        if last is None or self.references.of(place.model_id) is None:
            return None
        with self.database.read() as connection:
            return connection.execute(unseen.where(prediction.c.id <= last)).all()

    def _judged(self, place: Place, rows: Sequence[Row[Any]]) -> Verdict | None:
        """None where another process was faster."""
        reference = self.references.of(place.model_id)
        assert reference is not None
        verdict = judge(reference.kept, kept_of(rows), reference.names, self.alpha)
        row = vars(place) | {"last_id": rows[-1].id, "since": rows[0].at, "until": rows[-1].at, "answers": len(rows)}
        with self.database.alone() as connection:
            before = connection.execute(_last(place)).first()
            if before is not None and before.last_id >= rows[0].id:
                return None
            connection.execute(insert(drift).values(**row, p=verdict.p, drifted=verdict.drifted, why=verdict.why))
            if verdict.drifted != (before is not None and before.drifted):
                action = "drift" if verdict.drifted else "drift ended"
                append(connection, "monitoring", action, verdict.why, endpoint=place.endpoint, from_id=place.model_id)
        if verdict.drifted:
            log.warning("%s, generation %d: %s", place.endpoint, place.generation, verdict.why)
        return verdict

    def forget(self, connection: Connection, days: float) -> None:
        """Deletes what is older."""
        connection.execute(drift.delete().where(drift.c.until < time.time() - days * 86_400))


def kept_of(rows: Sequence[Row[Any]]) -> Kept:
    """Rows of the table `prediction`, which are of one model, as they were kept."""
    first = rows[0]
    return Kept(
        None if first.choice is None else [row.choice for row in rows],
        None if first.confidence is None else np.array([row.confidence for row in rows]),
        None if first.scores is None else np.array([row.scores for row in rows]),
        np.array([row.embedding for row in rows], np.float32) if all(row.embedding for row in rows) else None,
    )


def _last(place: Place) -> Select[Any]:
    here = drift.c.endpoint == place.endpoint, drift.c.generation == place.generation
    return select(drift).where(*here).order_by(drift.c.id.desc()).limit(1)


def _unseen(connection: Connection, place: Place) -> Select[Any]:
    """The answers after the last window, oldest first."""
    last = connection.execute(_last(place)).first()
    here = prediction.c.endpoint == place.endpoint, prediction.c.generation == place.generation
    after = prediction.c.id > (last.last_id if last else 0), prediction.c.role == "live"
    told = prediction.c.confidence.is_not(None) | prediction.c.scores.is_not(None) | prediction.c.choice.is_not(None)
    return select(prediction).where(*here, *after, told).order_by(prediction.c.id)
