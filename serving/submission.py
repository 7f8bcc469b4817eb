"""From the JSON that a person drops to queued jobs."""

import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.exc import IntegrityError

from serving.database import added
from serving.deployments import Conflict
from serving.grid_text import read_json
from serving.jobs import Queue
from serving.searches import search
from serving.sweeps import BadSweep, Check, Plan, as_written, plan
from serving.tables import job, sweep
from serving.workers import Workers


class Submission:
    """limit: jobs that one sweep may have. check: refuses what no worker could begin."""

    def __init__(self, queue: Queue, workers: Workers, limit: int, check: Check) -> None:
        self.queue, self.workers, self.limit, self.check, self.database = queue, workers, limit, check, queue.database

    def submit(
        self, text: str | bytes, name: str, actor: str, priority: int = 0, strict: bool = False, key: str | None = None
    ) -> dict[str, Any]:
        """Queues a sweep; what was queued, and the keys that were not understood. Raises BadSweep, Conflict.

        key: the same one again answers the same sweep, and refuses another.
        """
        asked = read_json(text)
        if key is not None and (known := self._known(key, name, asked)) is not None:
            return known
        found, jobs = self._planned(asked, strict)
        row: dict[str, Any] = {"key": key, "endpoint": name, "request": asked, "actor": actor}
        row |= {"unknown": found.unknown, "size": len(jobs), "created": time.time()}
        try:
            with self.database.write() as connection:
                number = added(connection, sweep, row)
                for overrides in jobs:
                    self.queue.add(connection, "train", name, overrides, sweep_id=number, priority=priority)
                return self._told(connection, number)
        except IntegrityError:  # the same key at the same time
            known = self._known(key or "", name, asked)
            assert known is not None
            return known

    def preview(self, text: str | bytes, strict: bool = False) -> dict[str, Any]:
        """What would be queued, and nothing is. Raises BadSweep."""
        found, jobs = self._planned(read_json(text), strict)
        return {"size": len(jobs), "choices": found.choices, "unknown": found.unknown, "first": jobs[0]}

    def _planned(self, asked: dict[str, Any], strict: bool) -> tuple[Plan, list[list[str]]]:
        """A sweep with its jobs' overrides."""
        values = {key: value for key, value in asked.items() if key != "tune"}
        declared = self.workers.declared()
        found = plan(values, declared, self.limit, strict, self.check)
        return found, [self._searching(found, asked, declared)] if "tune" in asked else found.jobs()

    def _searching(self, found: Plan, asked: dict[str, Any], declared: Sequence[str]) -> list[str]:
        if found.size != 1:
            raise BadSweep("a search takes single values beside tune: lists of values are what tune.space is for")
        tune = asked["tune"]
        space = tune.get("space") if isinstance(tune, dict) else None
        if not (isinstance(space, list) or space == "auto"):
            raise BadSweep('tune: write {"tune": {"space": ["optimizers.lr=tag(log, interval(1e-4, 1e-1))"]}}')
        tuning = {key: value for key, value in tune.items() if key != "space"}
        line = found.jobs()[0] + search(space, tuning)
        try:
            self.check([*declared, *line], [])
        except ValueError as error:
            raise BadSweep(as_written(str(error), asked)) from error
        return line

    def _known(self, key: str, name: str, asked: dict[str, Any]) -> dict[str, Any] | None:
        """The sweep that was queued with a key. Raises Conflict where that was another one."""
        with self.database.read() as connection:
            row = connection.execute(select(sweep).where(sweep.c.key == key)).first()
            if row is None:
                return None
            if (row.endpoint, row.request) != (name, asked):
                raise Conflict(f"the key {key} was given to another sweep, {row.id}: choose a new one")
            return self._told(connection, row.id)

    def _told(self, connection: Connection, number: int) -> dict[str, Any]:
        row = connection.execute(select(sweep).where(sweep.c.id == number)).one()
        jobs = connection.execute(select(job.c.id).where(job.c.sweep_id == number).order_by(job.c.id)).scalars()
        return {"sweep": number, "name": row.endpoint, "size": row.size, "jobs": list(jobs), "unknown": row.unknown}
