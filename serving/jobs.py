"""The queue: jobs with priorities, leases and fences. Every arrow of its state machine is one conditional update.

queued → running → succeeded | failed | cancelled; when the lease runs out, running → queued again, or dead after too
many attempts. A measuring that went wrong is queued again, too, and rests before its next attempt. A claim raises the
job's fence, and so does a retry; whoever writes with a former one is late and gets Late.
"""

import math
import threading
import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, Update, and_, func, insert, or_, select, update

from serving.database import Database, added
from serving.faults import step
from serving.measuring import tell
from serving.tables import job, job_event, worker

OPEN = ("queued", "running")
MOST_EVENTS = 20_000  # of one attempt; further ones are left out
LONGEST_ERROR = 4000


class Late(ValueError):
    """A worker writes about a job that is no longer its own."""


class Queue:
    """The jobs of a store. Leases go by `Database.now` alone: no worker's clock matters, nor which server it asks.

    rest_seconds: before the second attempt at a measuring that went wrong, before the third twice as long, and so on.
    """

    def __init__(self, database: Database, lease_seconds: float = 30.0, max_attempts: int = 3) -> None:
        self.database, self.lease_seconds, self.max_attempts = database, lease_seconds, max_attempts
        self.rest_seconds = 30.0
        self._looking, self._looked = threading.Lock(), -math.inf

    def add(self, connection: Connection, kind: str, endpoint: str, overrides: Sequence[str], **facts: Any) -> int:
        """A queued job; its number. facts: sweep_id, subject_id, for_id, priority."""
        row = {"kind": kind, "endpoint": endpoint, "overrides": list(overrides), "state": "queued", "priority": 0}
        row |= {"attempt": 0, "max_attempts": self.max_attempts, "fence": 0, "cancel_requested": False}
        return added(connection, job, row | facts | {"created": time.time()})

    def claim(self, worker_id: int) -> dict[str, Any] | None:
        """The next job, leased to this worker; None where nothing waits. Higher priority first, then the older one."""
        self.expire()
        while True:
            with self.database.write() as connection:
                now = self.database.now(connection)
                number = connection.execute(self._waiting(now)).scalar()
                if number is None:
                    return None
                if connection.execute(self._leased(number, worker_id, now)).rowcount == 1:
                    return dict(connection.execute(select(job).where(job.c.id == number)).one()._mapping)

    def _waiting(self, now: float) -> Select[int]:
        """The job that is next. A rest that is longer than any began before the clock was set back: it is over."""
        longest = self.rest_seconds * job.c.attempt
        rested = or_(job.c.rests_until.is_(None), job.c.rests_until <= now, job.c.rests_until > now + longest)
        waiting = select(job.c.id).where(job.c.state == "queued", rested)
        return waiting.order_by(job.c.priority.desc(), job.c.id).limit(1)

    def _leased(self, number: int, worker_id: int, now: float) -> Update:
        return (
            update(job)
            .where(job.c.id == number, job.c.state == "queued")
            .values(
                state="running",
                worker_id=worker_id,
                fence=job.c.fence + 1,
                attempt=job.c.attempt + 1,
                lease_until=now + self.lease_seconds,
                started=now,
                rests_until=None,
                error=None,
            )
        )

    def progress(self, number: int, fence: int, worker_id: int, events: Sequence[dict[str, Any]]) -> bool:
        """Renews the lease and keeps what was reported, once however often it is sent; whether to stop. Raises Late."""
        with self.database.write() as connection:
            until = self.database.now(connection) + self.lease_seconds
            if connection.execute(self.mine(number, fence, worker_id).values(lease_until=until)).rowcount != 1:
                raise Late(f"job {number} is no longer yours (fence {fence}): stop working on it")
            of_attempt = and_(job_event.c.job_id == number, job_event.c.fence == fence)
            last = connection.execute(select(func.max(job_event.c.seq)).where(of_attempt)).scalar() or 0
            fresh = [event for event in events if last < event["seq"] <= MOST_EVENTS]
            rows = [event | {"job_id": number, "fence": fence, "at": time.time()} for event in fresh]
            if rows:
                connection.execute(insert(job_event), rows)
            return self.is_cancelled(connection, number)

    def mine(self, number: int, fence: int, worker_id: int) -> Update:
        """An update that changes the job only while this worker holds it."""
        return update(job).where(
            job.c.id == number, job.c.fence == fence, job.c.worker_id == worker_id, job.c.state == "running"
        )

    def succeed(self, connection: Connection, number: int, fence: int, worker_id: int, model_id: int | None) -> None:
        """Within the transaction that keeps what the job made. Raises Late."""
        self._end(connection, number, fence, worker_id, state="succeeded", model_id=model_id, ended=time.time())
        step("job-succeeded")

    def fail(self, number: int, fence: int, worker_id: int, error: str) -> str:
        """Keeps what went wrong; the state now. A training would go wrong again. Raises Late.

        A measuring is tried again after a rest, as often as other jobs: a decision waits for it, another worker may
        have the images that this one lacks, and it costs minutes, not hours.
        """
        said = error[-LONGEST_ERROR:].replace("\0", "")  # which Postgres keeps in no text
        again = self.mine(number, fence, worker_id).where(
            job.c.kind == "evaluate", job.c.attempt < job.c.max_attempts, ~job.c.cancel_requested
        )
        with self.database.write() as connection:
            now = self.database.now(connection)
            rest = {"lease_until": None, "rests_until": now + self.rest_seconds * job.c.attempt}
            if connection.execute(again.values(state="queued", error=said, **rest)).rowcount == 1:
                return "queued"
            self._end(connection, number, fence, worker_id, state="failed", error=said, ended=now)
            tell(connection, number)
        return "failed"

    def release(self, number: int, fence: int, worker_id: int) -> str:
        """The worker gives the job back, as when it is shut down: the attempt does not count; the state now.

        One that somebody has cancelled meanwhile ends. Raises Late.
        """
        held = select(job.c.id).where(job.c.id == number).with_for_update()
        with self.database.write() as connection:
            connection.execute(held)
            if self.is_cancelled(connection, number):
                self._cancelled(connection, number, fence, worker_id)
                return "cancelled"
            before = job.c.attempt - 1
            self._end(connection, number, fence, worker_id, state="queued", worker_id=None, attempt=before)
        return "queued"

    def stopped(self, number: int, fence: int, worker_id: int) -> None:
        """The worker has done what a cancellation asked for. Raises Late."""
        with self.database.write() as connection:
            self._cancelled(connection, number, fence, worker_id)

    def _cancelled(self, connection: Connection, number: int, fence: int, worker_id: int) -> None:
        self._end(connection, number, fence, worker_id, state="cancelled", ended=time.time())
        tell(connection, number)

    def _end(self, connection: Connection, number: int, fence: int, worker_id: int, /, **values: Any) -> None:
        ended = self.mine(number, fence, worker_id).values(lease_until=None, **values)
        if connection.execute(ended).rowcount != 1:
            raise Late(f"job {number} is no longer yours (fence {fence}): what you say of it is not taken")

    def is_cancelled(self, connection: Connection, number: int | None) -> bool:
        """Whether somebody has asked for the end of a job, which may not have heard of it yet."""
        return bool(connection.execute(select(job.c.cancel_requested).where(job.c.id == number)).scalar())

    def cancel(self, number: int) -> str:
        """A waiting job ends at once, a running one as soon as its worker hears of it; the state now."""
        with self.database.write() as connection:
            ended = {"state": "cancelled", "ended": time.time()}
            waiting = connection.execute(update(job).where(job.c.id == number, job.c.state == "queued").values(**ended))
            if waiting.rowcount == 1:
                tell(connection, number)
            else:
                running = update(job).where(job.c.id == number, job.c.state == "running")
                connection.execute(running.values(cancel_requested=True))
            return str(self._row(connection, number).state)

    def cancel_sweep(self, number: int) -> int:
        """All of a sweep's jobs that wait or run, as `cancel` does; how many these were. Raises LookupError."""
        of_sweep = update(job).where(job.c.sweep_id == number)
        ended = {"state": "cancelled", "ended": time.time()}
        with self.database.write() as connection:
            if connection.execute(select(job.c.id).where(job.c.sweep_id == number).limit(1)).first() is None:
                raise LookupError(f"there is no sweep {number}")
            waiting = connection.execute(of_sweep.where(job.c.state == "queued").values(**ended)).rowcount
            running = of_sweep.where(job.c.state == "running").values(cancel_requested=True)
            return waiting + connection.execute(running).rowcount

    def retry(self, number: int) -> str:
        """Puts a job that ended without success back into the queue; the state now.

        Its fence grows, so that no mark of what changed is what it was before the job ended.
        """
        again = update(job).where(job.c.id == number, job.c.state.in_(("failed", "cancelled", "dead")))
        fresh = {"state": "queued", "attempt": 0, "cancel_requested": False}
        fresh |= dict.fromkeys(("rests_until", "ended", "error"))
        with self.database.write() as connection:
            changed = connection.execute(again.values(**fresh, worker_id=None, fence=job.c.fence + 1)).rowcount
            state = str(self._row(connection, number).state)
            if changed != 1:
                raise Late(
                    f"job {number} is {state}: only one that failed, was cancelled or is dead can be tried again"
                )
            tell(connection, number)
        return state

    def prioritize(self, number: int, priority: int) -> int:
        """Of a job that waits; the priority now."""
        waiting = update(job).where(job.c.id == number, job.c.state == "queued").values(priority=priority)
        with self.database.write() as connection:
            changed = connection.execute(waiting).rowcount
            state = str(self._row(connection, number).state)
        if changed != 1:
            raise Late(f"job {number} is {state}: only one that waits has a priority to change")
        return priority

    def expire(self) -> int:
        """Takes jobs from workers that were not heard of: again into the queue, or ended; how many.

        Where the last look of this process was not within half a lease, none is taken and all that run get a fresh
        lease: the process or the database was away and nobody could be heard, or the clock was set, or this is the
        first look. A worker that lives renews its lease well before half of it is over.
        """
        if not self._looking.acquire(blocking=False):
            return 0  # another thread looks
        try:
            return self._expired()
        finally:
            self._looking.release()

    def _expired(self) -> int:
        with self.database.read() as connection:
            now = self.database.now(connection)
            lost = connection.execute(select(func.count()).select_from(job).where(_lost(now))).scalar()
        was_there = 0 <= now - self._looked <= self.lease_seconds / 2
        taken = 0
        if not was_there:
            self._grace()
        elif lost:
            taken = self._take(now)
        self._looked = now  # not before: who cannot write now shall find the same again
        return taken

    def _grace(self) -> None:
        """A fresh lease for all that run: their workers shall be heard first."""
        with self.database.write() as connection:
            until = self.database.now(connection) + self.lease_seconds
            connection.execute(update(job).where(job.c.state == "running").values(lease_until=until))

    def _take(self, now: float) -> int:
        silent = "its worker was not heard of any more"
        given_up = {"state": "dead", "ended": now, "error": f"{silent}, at the last of its attempts"}
        endings: list[tuple[Any, dict[str, Any]]] = [
            (job.c.cancel_requested, {"state": "cancelled", "ended": now}),
            (job.c.attempt >= job.c.max_attempts, given_up),
            (job.c.attempt < job.c.max_attempts, {"state": "queued", "error": silent}),
        ]
        taken: list[int] = []
        with self.database.write() as connection:
            for when, values in endings:
                ended = update(job).where(_lost(now), when).values(lease_until=None, **values).returning(job.c.id)
                taken += connection.execute(ended).scalars()
            for number in taken:
                tell(connection, number)
        return len(taken)

    def get(self, number: int) -> dict[str, Any]:
        """A job as it is listed."""
        with self.database.read() as connection:
            return self._shown(connection, [self._row(connection, number)])[0]

    def _row(self, connection: Connection, number: int) -> Row[Any]:
        found = connection.execute(select(job).where(job.c.id == number)).first()
        if found is None:
            raise LookupError(f"there is no job {number}")
        return found

    def every(
        self, sweep_id: int | None = None, state: str | None = None, limit: int = 200, before: int | None = None
    ) -> list[dict[str, Any]]:
        """Jobs, the newest first."""
        query = select(job).order_by(job.c.id.desc()).limit(limit)
        for column, wanted in ((job.c.sweep_id, sweep_id), (job.c.state, state)):
            query = query.where(column == wanted) if wanted is not None else query
        query = query.where(job.c.id < before) if before is not None else query
        with self.database.read() as connection:
            return self._shown(connection, connection.execute(query).all())

    def _shown(self, connection: Connection, rows: Sequence[Row[Any]]) -> list[dict[str, Any]]:
        """With the worker's name and the newest figures of the attempt."""
        known = select(worker.c.id, worker.c.name).where(worker.c.id.in_({row.worker_id for row in rows}))
        names = {row.id: row.name for row in connection.execute(known)}
        figures = _newest_figures(connection, [row.id for row in rows])
        return [
            dict(row._mapping) | {"worker": names.get(row.worker_id), "figures": figures.get((row.id, row.fence))}
            for row in rows
        ]

    def events(
        self, number: int, fence: int = 0, after: int = 0, limit: int = 1000, kind: str | None = None
    ) -> list[dict[str, Any]]:
        """What was reported of a job after a place (fence, seq), oldest first; all attempts from 0, 0 on."""
        later = or_(job_event.c.fence > fence, and_(job_event.c.fence == fence, job_event.c.seq > after))
        query = select(job_event).where(job_event.c.job_id == number, later)
        query = query.where(job_event.c.kind == kind) if kind is not None else query
        with self.database.read() as connection:
            self._row(connection, number)
            rows = connection.execute(query.order_by(job_event.c.fence, job_event.c.seq).limit(limit))
            return [dict(row._mapping) for row in rows]


def _lost(now: float) -> ColumnElement[bool]:
    """Jobs whose workers were not heard of for a lease."""
    return and_(job.c.state == "running", job.c.lease_until < now)


def _newest_figures(connection: Connection, jobs: Sequence[int]) -> dict[tuple[int, int], Any]:
    """The last that the attempt reported, by job and fence."""
    of_attempt = job_event.c.job_id == job.c.id, job_event.c.fence == job.c.fence, job_event.c.kind == "figures"
    last = select(job_event.c.payload).where(*of_attempt).order_by(job_event.c.seq.desc()).limit(1).scalar_subquery()
    query = select(job.c.id, job.c.fence, last.label("payload")).where(job.c.id.in_(jobs))
    return {(row.id, row.fence): row.payload for row in connection.execute(query)}
