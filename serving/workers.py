"""Who trains: workers that joined, with the version of their code and what they declare."""

import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, select, update

from serving.database import Database, added
from serving.tables import worker

ACTIVE_SECONDS = 90.0  # a worker that was heard of within this is there


class OtherVersion(ValueError):
    """A worker whose code is not the server's: its models could mean something else."""


class Workers:
    """version: of the server's code; workers must have the same."""

    def __init__(self, database: Database, version: str) -> None:
        self.database, self.version = database, version

    def join(self, name: str, token_id: int, version: str, machine: str, declared: Sequence[str]) -> dict[str, Any]:
        """A new worker; where the name is taken, it gets a suffix. Raises OtherVersion."""
        if version != self.version:
            raise OtherVersion(
                f"this worker runs version {version} of the code, the server runs {self.version}: check out the same "
                "on both sides, then start them again"
            )
        now = time.time()
        row = {"token_id": token_id, "version": version, "machine": machine, "declared": list(declared)}
        with self.database.alone() as connection:
            free = _free(connection, name)
            return {"id": added(connection, worker, row | {"name": free, "joined": now, "seen": now}), "name": free}

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
        """The last heard of first; active: whether that was a moment ago."""
        with self.database.read() as connection:
            rows = connection.execute(select(worker).order_by(worker.c.seen.desc()).limit(200))
            since = time.time() - ACTIVE_SECONDS
            return [dict(row._mapping) | {"active": row.seen > since} for row in rows]

    def declared(self) -> list[str]:
        """The overrides that the worker declares which was heard of last; none where there is none."""
        with self.database.read() as connection:
            query = select(worker.c.declared).order_by(worker.c.seen.desc()).limit(1)
            return list(connection.execute(query).scalar() or [])


def _free(connection: Connection, name: str) -> str:
    like = worker.c.name.startswith(name, autoescape=True)
    taken = set(connection.execute(select(worker.c.name).where(like)).scalars())
    numbered = (f"{name}-{number}" for number in range(2, len(taken) + 3))
    return next(one for one in (name, *numbered) if one not in taken)
