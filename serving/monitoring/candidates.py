"""Shadow and canary beside what is live: on the same images, in time, and where people said what is right."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sqlalchemy import Connection, Row, Subquery, and_, func, select

from serving.deployments import CANDIDATES, Deployments
from serving.feedback_labels import winner
from serving.monitoring.overview import MOST_ROWS, quantiles
from serving.tables import feedback, model, prediction
from utils.statistics import mcnemar, wilson

MOST_PAIRS = 20_000  # images, the newest
HONEST = "corrections come mostly from where the live model was wrong, which favours a candidate"


class Candidates:
    """Of the endpoints of a store."""

    def __init__(self, deployments: Deployments) -> None:
        self.deployments, self.database = deployments, deployments.database

    def of(self, name: str) -> list[dict[str, Any]]:
        """Each of an endpoint's candidates with how it compares. Raises LookupError for an unknown endpoint."""
        row = self.deployments.get(name)
        numbers = {role: row[column.name] for role, column in CANDIDATES.items()}
        with self.database.read() as connection:
            return [self._compared(connection, row, role, number) for role, number in numbers.items() if number]

    def _compared(self, connection: Connection, row: dict[str, Any], role: str, number: int) -> dict[str, Any]:
        facts = connection.execute(select(model.c.version, model.c.file_sha256).where(model.c.id == number)).one()
        both = {"own": _of(row["name"], number, role), "live": _of(row["name"], row["model_id"], "live")}
        pairs = _pairs(connection, *both.values())
        latency = {key: _latency(connection, found) for key, found in both.items()}
        told = {"role": role, "model_id": number, "version": facts.version, "sha256": facts.file_sha256}
        told |= {"share": row["canary_share"] if role == "canary" else None}
        told |= {"answers": _count(connection, both["own"]), "latency_ms": latency}
        agreement, labelled = _agreement(pairs), _labelled(_labels(connection, row["name"]), pairs)
        return told | {"agreement": agreement, "labelled": labelled, "why": _told(agreement, labelled, latency)}


def _of(name: str, number: int | None, role: str) -> Any:
    """Which answers are a model's in a role."""
    return and_(prediction.c.endpoint == name, prediction.c.model_id == number, prediction.c.role == role)


def _count(connection: Connection, which: Any) -> int:
    return int(connection.execute(select(func.count()).select_from(prediction).where(which)).scalar_one())


def _latency(connection: Connection, which: Any) -> dict[str, float | None]:
    """Of the newest answers."""
    query = select(prediction.c.latency_ms).where(which).order_by(prediction.c.id.desc()).limit(MOST_ROWS)
    return quantiles(np.array(connection.execute(query).scalars().all()))


def _pairs(connection: Connection, own: Any, live: Any) -> Sequence[Row[Any]]:
    """image, own, live: the last choice of both for each image that both have seen."""
    candidate, deployed = _newest(own, "candidate"), _newest(live, "deployed")
    names = {"image": candidate.c.image_sha256, "own": candidate.c.choice, "live": deployed.c.choice}
    query = select(*(column.label(name) for name, column in names.items()))
    query = query.join(deployed, candidate.c.image_sha256 == deployed.c.image_sha256)
    return connection.execute(query.order_by(candidate.c.id.desc()).limit(MOST_PAIRS)).all()


def _newest(which: Any, name: str) -> Subquery:
    """Of each image the last answer, where it has a choice."""
    ids = select(func.max(prediction.c.id)).where(which, prediction.c.choice.is_not(None))
    rows = select(prediction.c.id, prediction.c.image_sha256, prediction.c.choice)
    return rows.where(prediction.c.id.in_(ids.group_by(prediction.c.image_sha256))).subquery(name)


def _agreement(pairs: Sequence[Row[Any]]) -> dict[str, Any] | None:
    """On how many images both chose the same, with the interval of the share; None where nothing is shared."""
    if not pairs:
        return None
    same = sum(pair.own == pair.live for pair in pairs)
    share = wilson(same, len(pairs))
    return {"images": len(pairs), "same": same, "share": share.value, "low": share.low, "high": share.high}


def _labels(connection: Connection, name: str) -> dict[str, str]:
    """Image → the label that people gave it."""
    query = select(feedback).where(feedback.c.endpoint == name, feedback.c.known).order_by(feedback.c.at, feedback.c.id)
    images: dict[str, list[Row[Any]]] = {}
    for row in connection.execute(query):
        images.setdefault(row.image_sha256, []).append(row)
    return {image: winner(rows) for image, rows in images.items()}


def _labelled(labels: dict[str, str], pairs: Sequence[Row[Any]]) -> dict[str, Any] | None:
    """Who was right where the other was wrong, by the exact test; None where no shared image has a label."""
    known = [pair for pair in pairs if pair.image in labels]
    if not known:
        return None
    own, live = (np.array([getattr(pair, who) == labels[pair.image] for pair in known]) for who in ("own", "live"))
    found = mcnemar(own, live)
    right = {"own": int(own.sum()), "live": int(live.sum())}
    return {"images": len(known), "right": right, "gained": found.gained, "lost": found.lost, "p": found.p}


def _told(agreement: dict[str, Any] | None, labelled: dict[str, Any] | None, latency: dict[str, Any]) -> str:
    """In a sentence that a person reads."""
    if agreement is None:
        return "it has not answered an image that the live model answered, too"
    told = f"chooses as the live model on {agreement['same']:,} of {agreement['images']:,} images"
    if latency["own"]["p95"] is not None and latency["live"]["p95"] is not None:
        told += f"; p95 {latency['own']['p95']:.1f} ms against {latency['live']['p95']:.1f} ms"
    if labelled is None:
        return f"{told}; none of these images was corrected"
    counts = f"{labelled['gained']} right where the live model is wrong, {labelled['lost']} the other way round"
    return f"{told}; of {labelled['images']} corrected images {counts} (p = {labelled['p']:.3g}; {HONEST})"
