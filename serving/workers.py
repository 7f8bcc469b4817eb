"""Who trains: workers that joined, with the version of their code and what they declare."""

import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, or_, select, update

from serving.database import Database, added
from serving.tables import worker

ACTIVE_SECONDS = 90.0  # a worker that was heard of within this is there
QUIET_SECONDS = 15.0  # it asks every second, and tells of a job as often: beyond, something is wrong


class OtherVersion(ValueError):
    """A worker whose code is not the server's: its models could mean something else."""


class Workers:
    """version: of the server's code; workers must have the same."""

    def __init__(self, database: Database, version: str) -> None:
        self.database, self.version = database, version

    def join(self, name: str, token_id: int, version: str, machine: str, declared: Sequence[str]) -> dict[str, Any]:
        """A worker under its name, with a number where another of that name works. Raises OtherVersion.

        It takes the place of one with its name and token that was not heard of lately: fences alone hold jobs.
        """
        self.require_same(version)
        now = time.time()
        row = {"token_id": token_id, "version": version, "machine": machine, "declared": list(declared)}
        row |= {"joined": now, "seen": now}
        with self.database.alone() as connection:
            free, former = _place(connection, name, token_id, now - ACTIVE_SECONDS)
            if former is None:
                return {"id": added(connection, worker, row | {"name": free}), "name": free}
            connection.execute(update(worker).where(worker.c.id == former).values(row))
            return {"id": former, "name": free}

    def require_same(self, version: str) -> None:
        """Raises OtherVersion: the server may have been started again with newer code since a worker joined."""
        if version != self.version:
            raise OtherVersion(
                f"this worker runs version {version} of the code, the server runs {self.version}: check out the same "
                "on both sides, then start them again"
            )

    def gone(self, name: str) -> None:
        """The workers of a name, with and without a number, have ended: nobody waits to hear of them."""
        with self.database.write() as connection:
            then = time.time() - ACTIVE_SECONDS
            there = _named(name), worker.c.seen > then
            connection.execute(update(worker).where(*there).values(seen=then))

    def seen(self, number: int, token_id: int) -> Row[Any]:
        """The worker's row, now that it was heard of; LookupError for a number that is not this token's."""
        with self.database.write() as connection:
            mine = worker.c.id == number, worker.c.token_id == token_id
            connection.execute(update(worker).where(*mine).values(seen=time.time()))
            row = connection.execute(select(worker).where(*mine)).first()
        if row is None:
            raise LookupError(f"there is no worker {number} with this token: join again")
        return row

    def every(self) -> list[dict[str, Any]]:
        """The last heard of first; active: whether that was lately; quiet: whether it was longer ago than usual."""
        with self.database.read() as connection:
            rows = connection.execute(select(worker).order_by(worker.c.seen.desc()).limit(200))
            now = time.time()
            return [
                dict(row._mapping)
                | {"active": row.seen > now - ACTIVE_SECONDS, "quiet": row.seen < now - QUIET_SECONDS}
                for row in rows
            ]

    def declared(self) -> list[str]:
        """The overrides that the worker declares which was heard of last; none where there is none."""
        with self.database.read() as connection:
            query = select(worker.c.declared).order_by(worker.c.seen.desc()).limit(1)
            return list(connection.execute(query).scalar() or [])


def _place(connection: Connection, name: str, token_id: int, since: float) -> tuple[str, int | None]:
    """The first name that is free, or was this token's and not heard of since; then also its row's number."""
    taken = {row.name: row for row in connection.execute(select(worker).where(_named(name)))}
    for one in (name, *(f"{name}-{number}" for number in range(2, len(taken) + 3))):
        row = taken.get(one)
        if row is None or (row.token_id == token_id and row.seen <= since):
            break
    return one, None if row is None else row.id


def _named(name: str) -> ColumnElement[bool]:
    return or_(worker.c.name == name, worker.c.name.startswith(f"{name}-", autoescape=True))
