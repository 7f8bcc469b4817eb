"""What people say about answers: images with their right label, or without one, laid out so that training takes them.

`root/feedback/ENDPOINT/labels.csv` is what `datamodule=csv` reads: a line an image, those without a label are the pool.
The database is what counts; the CSV is written anew from it after each change, and when a server starts.
"""

import errno
import time
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, func, select, update

from serving.blobs import Full
from serving.database import added
from serving.deployments import Deployments
from serving.faults import step
from serving.feedback_files import FEEDBACK, IMAGES, Shelf, encoded
from serving.feedback_labels import checked_label, is_known, require_words, settled
from serving.settings import MEBIBYTE
from serving.tables import endpoint, feedback, model, prediction

MOST_MARKED = 10_000  # rows at once
PREDICTION = r"([0-9a-f]{32})?"  # its id, or nothing


class Feedback:
    """Of a store. most, most_bytes: images of an endpoint and their size; further ones are refused."""

    def __init__(self, root: Path, deployments: Deployments, most: int, most_bytes: int) -> None:
        self.root, self.deployments, self.database = root, deployments, deployments.database
        self.most, self.most_bytes = most, most_bytes

    def shelf(self, name: str) -> Shelf:
        """Where an endpoint's images lie."""
        return Shelf(self.root / FEEDBACK / name)

    def add(
        self, name: str, image: bytes, image_sha256: str, key: str | None, label: str | None, actor: str
    ) -> dict[str, Any]:
        """Keeps an image that was answered wrongly; said again by the same person, the new label counts.

        image: a checked upload. key: of the prediction. label: None where nobody knows what is right.
        Raises LookupError for an unknown endpoint, BadImage, ValueError for what is no label, Full.
        """
        self.deployments.get(name)
        label, stored = checked_label(label), encoded(image)
        with self.database.read() as connection:
            self._require_room(connection, name, image_sha256, len(stored))
            facts = self._of_model(connection, name, key, label)
        if not facts["known"]:
            require_words(label)
        row: dict[str, Any] = {"endpoint": name, "prediction": key, "image_sha256": image_sha256, "label": label}
        row |= {"bytes": len(stored), "actor": actor, "at": time.time(), "consumed": None}
        with self.shelf(name).held():
            row["file_sha256"] = self.shelf(name).put(stored)
            step("feedback-file")
            with self.database.alone() as connection:
                number = self._kept(connection, row | facts)
        step("feedback-row")
        self.lay_out(name)
        return self.get(number)

    def _require_room(self, connection: Connection, name: str, image_sha256: str, size: int) -> None:
        here = feedback.c.endpoint == name
        known = select(feedback.c.id).where(here, feedback.c.image_sha256 == image_sha256).limit(1)
        if connection.execute(known).first() is not None:
            return
        used = select(func.count(feedback.c.file_sha256.distinct()), func.coalesce(func.sum(feedback.c.bytes), 0))
        count, taken = connection.execute(used.where(here)).one()
        if count >= self.most:
            raise Full(
                errno.EDQUOT, f"{name} has {count:,} corrected images: delete some, or raise serving.max_feedback"
            )
        if taken + size > self.most_bytes:
            told = f"{name} has {taken / MEBIBYTE:,.0f} MiB of corrected images"
            raise Full(errno.EDQUOT, f"{told}: delete some, or raise serving.max_feedback_mib")

    def _of_model(self, connection: Connection, name: str, key: str | None, label: str | None) -> dict[str, Any]:
        """Which model was wrong, the live one where the prediction is not known, and whether it knows the label."""
        told = select(prediction.c.model_id).where(prediction.c.key == key, prediction.c.endpoint == name)
        number = None if key is None else connection.execute(told.order_by(prediction.c.id).limit(1)).scalar()
        if number is None:
            number = connection.execute(select(endpoint.c.model_id).where(endpoint.c.name == name)).scalar()
        row = connection.execute(select(model.c.task, model.c.classes).where(model.c.id == number)).first()
        known = row is not None and label is not None and is_known(row.task, row.classes, label)
        return {"model_id": number, "known": known}

    def _kept(self, connection: Connection, row: dict[str, Any]) -> int:
        same = [feedback.c[key] == row[key] for key in ("endpoint", "image_sha256", "actor")]
        number = connection.execute(select(feedback.c.id).where(*same)).scalar()
        if number is None:
            return added(connection, feedback, row)
        connection.execute(update(feedback).where(feedback.c.id == number).values(row))
        return int(number)

    def get(self, number: int) -> dict[str, Any]:
        with self.database.read() as connection:
            return _shown(self._row(connection, number))

    def every(self, name: str | None = None, limit: int = 200, before: int | None = None) -> list[dict[str, Any]]:
        """The newest first."""
        query = select(feedback).order_by(feedback.c.id.desc()).limit(limit)
        query = query.where(feedback.c.endpoint == name) if name is not None else query
        query = query.where(feedback.c.id < before) if before is not None else query
        with self.database.read() as connection:
            return [_shown(row) for row in connection.execute(query)]

    def file(self, number: int) -> Path:
        """The image. Raises LookupError where it is gone."""
        row = self.get(number)
        file = self.shelf(row["endpoint"]).path(row["file_sha256"])
        if not file.is_file():
            raise LookupError(f"the image of feedback {number} is gone")
        return file

    def delete(self, number: int) -> None:
        """The row, and the image unless somebody else spoke of it, too."""
        with self.database.alone() as connection:
            row = self._row(connection, number)
            connection.execute(feedback.delete().where(feedback.c.id == number))
        self.lay_out(row.endpoint)
        with self.shelf(row.endpoint).held(), self.database.read() as connection:
            others = feedback.c.endpoint == row.endpoint, feedback.c.file_sha256 == row.file_sha256
            if connection.execute(select(feedback.c.id).where(*others).limit(1)).first() is None:
                self.shelf(row.endpoint).path(row.file_sha256).unlink(missing_ok=True)

    def consume(self, numbers: list[int]) -> int:
        """Marks what a training has taken; how many were not marked before."""
        fresh = feedback.c.id.in_(numbers[:MOST_MARKED]), feedback.c.consumed.is_(None)
        with self.database.write() as connection:
            return connection.execute(update(feedback).where(*fresh).values(consumed=time.time())).rowcount

    def lay_out(self, name: str) -> None:
        """Writes an endpoint's CSV anew."""
        shelf = self.shelf(name)
        with shelf.held(), self.database.read() as connection:
            shelf.write(self._task(connection, name), settled(self._rows(connection, name)))

    def repair(self) -> None:
        """What a process that died has left: CSVs that are behind, images that no row names."""
        with self.database.read() as connection:
            names = list(connection.execute(select(feedback.c.endpoint).distinct()).scalars())
        for name in names:
            self.lay_out(name)
        for shelf in (self.shelf(folder.parent.name) for folder in (self.root / FEEDBACK).glob(f"*/{IMAGES}")):
            with self.database.read() as connection:
                shelf.sweep({row.file_sha256 for row in self._rows(connection, shelf.folder.name)})

    def _rows(self, connection: Connection, name: str) -> list[Row[Any]]:
        """Oldest statement first."""
        query = select(feedback).where(feedback.c.endpoint == name).order_by(feedback.c.at, feedback.c.id)
        return list(connection.execute(query))

    def _task(self, connection: Connection, name: str) -> tuple[str, list[str]]:
        """Task and classes of the newest model that people spoke of."""
        query = select(model.c.task, model.c.classes).join(feedback, feedback.c.model_id == model.c.id)
        row = connection.execute(query.where(feedback.c.endpoint == name).order_by(model.c.id.desc()).limit(1)).first()
        return ("classification", []) if row is None else (row.task, row.classes)

    def _row(self, connection: Connection, number: int) -> Row[Any]:
        row = connection.execute(select(feedback).where(feedback.c.id == number)).first()
        if row is None:
            raise LookupError(f"there is no feedback {number}")
        return row


def _shown(row: Row[Any]) -> dict[str, Any]:
    return dict(row._mapping)
