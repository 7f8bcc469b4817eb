"""What an endpoint's answers look like now and over time: load, latency, shares of the choices, confidence, drift."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Row, func, select

from serving.deployments import Deployments
from serving.monitoring.monitor import Monitor
from serving.monitoring.reference import names_of
from serving.monitoring.shares import Shares, shares_of, shown_by
from serving.monitoring.windows import Place
from serving.tables import drift, prediction

Array = NDArray[Any]
Count = Callable[[Sequence[Row[Any]]], Shares]

MOST_ROWS = 10_000  # read for one overview; of more, every so many-th
MOST_SHARES = 50  # choices that are listed
MOST_LINES = 8  # and those whose shares are told over time
MOST_WINDOWS = 100
QUANTILES = {"p50": 50, "p95": 95, "p99": 99}
HOUR = 3600.0


class Overview:
    """Of the endpoints of a store."""

    def __init__(self, deployments: Deployments, monitor: Monitor) -> None:
        self.deployments, self.monitor = deployments, monitor
        self.database, self.windows = deployments.database, monitor.windows

    def of(self, name: str, hours: float, points: int) -> dict[str, Any]:
        """The last hours, in so many points. Raises LookupError for an unknown endpoint."""
        row, until = self.deployments.get(name), time.time()
        since = until - hours * HOUR
        masks = self._mask_classes(row["model_id"])
        count, every, rows = self._rows(name, since, masks is not None)
        live = [one for one in rows if one.role == "live"]
        told = partial(_told, number=row["model_id"], masks=masks)
        return {
            "endpoint": name,
            "generation": row["generation"],
            "model_id": row["model_id"],
            "since": since,
            "until": until,
            "answers": count,
            "per_second": count / (until - since),
            "one_of": every,
            "latency_ms": quantiles(np.array([one.latency_ms for one in rows])),
            "confidence": self._confidence(live, row["model_id"]),
            "share_of": "answers" if masks is None else "pixels",
            "shares": self._shares(live, row["model_id"], masks),
            "series": _series(rows, since, until, points, every, told),
            "drift": self._drift(row),
            "lost": self.monitor.lost,
        }

    def _mask_classes(self, number: int | None) -> list[str] | None:
        """Of a model that answers with masks; None of any other."""
        if number is None:
            return None
        with self.database.read() as connection:
            row = self.deployments.store.row(connection, number)
        return names_of(row.task, row.classes) if row.task == "segmentation" else None

    def _rows(self, name: str, since: float, masks: bool) -> tuple[int, int, Sequence[Row[Any]]]:
        """How many answers clients got, of how many one was read, and those."""
        here = prediction.c.endpoint == name, prediction.c.at >= since, prediction.c.role != "shadow"
        keys = ["at", "latency_ms", "role", "model_id", "choice", "confidence", *(["scores"] if masks else [])]
        columns = [prediction.c[key] for key in keys]
        with self.database.read() as connection:
            count = connection.execute(select(func.count()).select_from(prediction).where(*here)).scalar_one()
            every = -(-count // MOST_ROWS) or 1
            query = select(*columns).where(*here, prediction.c.id % every == 0)
            return count, every, connection.execute(query).all()

    def _confidence(self, live: Sequence[Row[Any]], number: int | None) -> dict[str, float | None]:
        known = [one.confidence for one in live if one.confidence is not None and one.model_id == number]
        reference = None if number is None else self.windows.references.of(number)
        then = None if reference is None or reference.kept.confidence is None else reference.kept.confidence.mean()
        return {"mean": float(np.mean(known)) if known else None, "reference": None if then is None else float(then)}

    def _shares(
        self, live: Sequence[Row[Any]], number: int | None, masks: Sequence[str] | None
    ) -> list[dict[str, Any]]:
        """Of the live model's answers, the largest first, beside those on its evaluation set."""
        now = shares_of(shown_by([one for one in live if one.model_id == number], masks), masks)
        reference = None if number is None else self.windows.references.of(number)
        then = shares_of(reference.kept, masks) if reference else {}
        names = sorted({*now, *then}, key=lambda name: (-now.get(name, 0), -then.get(name, 0), name))[:MOST_SHARES]
        return [{"class": name, "share": _share(now, name), "reference": _share(then, name)} for name in names]

    def _drift(self, row: dict[str, Any]) -> dict[str, Any]:
        """The last windows, newest first, and what to think of the last one of what is live."""
        query = select(drift).where(drift.c.endpoint == row["name"]).order_by(drift.c.id.desc()).limit(MOST_WINDOWS)
        with self.database.read() as connection:
            windows = [dict(one._mapping) for one in connection.execute(query)]
        own = [one for one in windows if one["generation"] == row["generation"]]
        facts = {"window": self.windows.size, "alpha": self.windows.alpha, "windows": windows}
        if own:
            return facts | {key: own[0][key] for key in ("drifted", "why", "p")}
        return facts | {"drifted": None, "why": self._not_yet(row), "p": None}

    def _not_yet(self, row: dict[str, Any]) -> str:
        """Why nothing can be said."""
        if row["model_id"] is None:
            return "nothing is live"
        if self.windows.references.of(row["model_id"]) is None:
            return "no reference: the model brought nothing of its evaluation set that could be compared"
        waiting = self.windows.waiting(Place(row["name"], row["generation"], row["model_id"]))
        return f"not known before {self.windows.size:,} answers, of which {waiting:,} are there"


def _share(known: Shares, name: str) -> float | None:
    return known.get(name, 0.0) if known else None


def _told(rows: Sequence[Row[Any]], number: int | None, masks: Sequence[str] | None) -> Shares:
    """Over time: of all that clients got; masks of the live model alone, since another one may know other classes."""
    return shares_of(shown_by([row for row in rows if masks is None or row.model_id == number], masks), masks)


def quantiles(latency: Array) -> dict[str, float | None]:
    """Milliseconds; None where there is no answer."""
    if not len(latency):
        return dict.fromkeys(QUANTILES)
    found = np.percentile(latency, list(QUANTILES.values()))
    return {name: round(float(value), 3) for name, value in zip(QUANTILES, found, strict=True)}


def _series(
    rows: Sequence[Row[Any]], since: float, until: float, points: int, every: int, told: Count
) -> list[dict[str, Any]]:
    """Equal parts of the time, those without answers too."""
    width = (until - since) / points
    known = told(rows)
    lines = sorted(known, key=known.__getitem__, reverse=True)[:MOST_LINES]
    parts: list[list[Row[Any]]] = [[] for _ in range(points)]
    for row in rows:
        parts[min(max(int((row.at - since) / width), 0), points - 1)].append(row)
    return [_point(part, since + place * width, width, every, told(part), lines) for place, part in enumerate(parts)]


def _point(
    part: Sequence[Row[Any]], at: float, width: float, every: int, known: Shares, lines: Sequence[str]
) -> dict[str, Any]:
    sure = [one.confidence for one in part if one.confidence is not None]
    facts: dict[str, Any] = {"at": at, "answers": len(part) * every, "per_second": len(part) * every / width}
    facts |= quantiles(np.array([one.latency_ms for one in part]))
    facts["confidence"] = float(np.mean(sure)) if sure else None
    return facts | {"shares": {name: _share(known, name) for name in lines} if known else {}}
