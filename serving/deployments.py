"""What is live: one row an endpoint, changed by compare-and-swap, each change a new generation in the history."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from serving.faults import step
from serving.history import append, broken
from serving.promotion import Verdict
from serving.store import Store, require_whole
from serving.tables import endpoint, history, model

CANDIDATES = {"shadow": endpoint.c.shadow_id, "canary": endpoint.c.canary_id}
PUSHES = ("promote", "deploy", "clear")  # actions after which a rollback brings the former state back


class Conflict(ValueError):
    """Somebody else was faster: what the request was about is no longer so."""


class Deployments:
    """The endpoints of a store; each serves one model, or none."""

    def __init__(self, store: Store) -> None:
        self.store, self.database = store, store.database
        self._checked: dict[str, Any] | None = None  # the last line of the history when all of it was well

    def every(self) -> list[dict[str, Any]]:
        """Each endpoint with the hash and the version of what is live."""
        query = select(endpoint, model.c.version, model.c.file_sha256).order_by(endpoint.c.name)
        with self.database.read() as connection:
            rows = connection.execute(query.outerjoin(model, endpoint.c.model_id == model.c.id))
            return [dict(row._mapping) for row in rows]

    def get(self, name: str) -> dict[str, Any]:
        found = [one for one in self.every() if one["name"] == name]
        if not found:
            raise LookupError(f"there is no endpoint {name}")
        return found[0]

    def deploy(self, number: int, actor: str, generation: int | None = None) -> dict[str, Any]:
        """Sets a model live by hand. Raises BadCandidate for one that does not work.

        generation: the one that the person saw; another one now is a Conflict.
        """
        self.store.require_working(number)
        with self.database.alone() as connection:
            row = self._whole(connection, number)
            seen = current(connection, row.name)
            _require(seen, generation)
            swap(connection, seen, number, actor, "deploy", "set live by hand")
        return self.get(row.name)

    def promote(self, connection: Connection, seen: Row[Any], number: int, verdict: Verdict) -> None:
        """Sets a model live because of a verdict about what `seen` serves, within a transaction of `Database.alone`."""
        swap(connection, seen, number, "automatic deployment", "promote", verdict.why)

    def rollback(self, name: str, actor: str, generation: int | None = None, freeze: bool = False) -> dict[str, Any]:
        """Brings back what was live before, as a new generation. freeze: and holds automatic deployment.

        It was verified before; its files are looked at again. Raises BadCandidate where they are damaged.
        """
        with self.database.alone() as connection:
            seen = self._known(connection, name)
            _require(seen, generation)
            former = self._former(connection, seen)
        require_whole(self.store.blobs, self.store.files(former))
        with self.database.alone() as connection:
            swap(connection, seen, former, actor, "rollback", f"back from generation {seen.generation}")
            if freeze:
                self._freeze(connection, name, True, actor)
        return self.get(name)

    def clear(self, name: str, actor: str, generation: int | None = None) -> dict[str, Any]:
        """Nothing is live from now on; the next model that is trained goes live whatever its figures."""
        with self.database.alone() as connection:
            seen = self._known(connection, name)
            _require(seen, generation)
            if seen.model_id is None:
                raise Conflict(f"nothing is live on {name}")
            swap(connection, seen, None, actor, "clear", "taken off by hand")
        return self.get(name)

    def shadow(self, number: int, actor: str) -> dict[str, Any]:
        """A model answers beside the live one, and nobody is told. Raises BadCandidate, Conflict."""
        return self._offer(number, actor, "shadow", {"shadow_id": number}, "answers unheard")

    def canary(self, number: int, share: float, actor: str) -> dict[str, Any]:
        """A model answers a share of the requests in the place of the live one. Raises BadCandidate, Conflict."""
        if not 0 < share < 1:
            raise ValueError(f"share={share}: a canary answers a share of the requests between 0 and 1; deploy for all")
        values = {"canary_id": number, "canary_share": share}
        return self._offer(number, actor, "canary", values, f"answers {share:.1%} of the requests")

    def _offer(self, number: int, actor: str, role: str, values: dict[str, Any], why: str) -> dict[str, Any]:
        """Verified as before a deployment; beside a live model of the same task alone."""
        self.store.require_working(number)
        with self.database.alone() as connection:
            row = self._whole(connection, number)
            seen = current(connection, row.name)
            _require_comparable(row, seen, None if seen.model_id is None else self.store.row(connection, seen.model_id))
            _end(connection, seen, number, actor, {"shadow", "canary"} - {role})
            former = getattr(seen, CANDIDATES[role].name)
            connection.execute(update(endpoint).where(endpoint.c.name == row.name).values(values))
            append(connection, actor, role, why, endpoint=row.name, from_id=former, to_id=number)
        return self.get(row.name)

    def _whole(self, connection: Connection, number: int) -> Row[Any]:
        """A model's row. Raises Conflict where its files were given up meanwhile."""
        row = self.store.row(connection, number)
        if row.pruned is not None:
            raise Conflict(f"the files of {row.name} {row.version} were given up, it can only be trained again")
        return row

    def withdraw(self, name: str, role: str, actor: str) -> dict[str, Any]:
        """Ends the shadow or the canary. Raises Conflict where there is none."""
        if role not in CANDIDATES:
            raise ValueError(f"role={role}: use {' or '.join(CANDIDATES)}")
        with self.database.alone() as connection:
            seen = self._known(connection, name)
            number = getattr(seen, CANDIDATES[role].name)
            if number is None:
                raise Conflict(f"{name} has no {role}")
            _end(connection, seen, number, actor, {role})
        return self.get(name)

    def freeze(self, name: str, frozen: bool, actor: str) -> dict[str, Any]:
        """Holds automatic deployment, or lets it go on."""
        with self.database.alone() as connection:
            self._known(connection, name)
            self._freeze(connection, name, frozen, actor)
        return self.get(name)

    def _freeze(self, connection: Connection, name: str, frozen: bool, actor: str) -> None:
        another = update(endpoint).where(endpoint.c.name == name, endpoint.c.frozen != frozen)
        if connection.execute(another.values(frozen=frozen)).rowcount == 1:
            append(connection, actor, "freeze" if frozen else "thaw", "automatic deployment", endpoint=name)

    def _known(self, connection: Connection, name: str) -> Row[Any]:
        if connection.execute(select(endpoint).where(endpoint.c.name == name)).first() is None:
            raise LookupError(f"there is no endpoint {name}")
        return current(connection, name)

    def _former(self, connection: Connection, seen: Row[Any]) -> int:
        """What was live before, as undoing does: a second rollback goes one further back."""
        lines = connection.execute(
            select(history).where(history.c.endpoint == seen.name, history.c.generation.is_not(None))
            .order_by(history.c.generation)
        )  # fmt: skip
        states: list[int | None] = []
        for line in lines:
            states = [*states, line.to_id] if line.action in PUSHES else states[: _place(states, line.to_id) + 1]
        pruned = set(connection.execute(select(model.c.id).where(model.c.pruned.is_not(None))).scalars())
        former = [number for number in states[:-1] if number not in (None, seen.model_id) and number not in pruned]
        if not former:
            raise Conflict(f"nothing was live on {seen.name} before that could be brought back: set a model live")
        return former[-1]

    def history(self, limit: int = 200, before: int | None = None) -> list[dict[str, Any]]:
        """The newest lines first."""
        query = select(history).order_by(history.c.number.desc()).limit(limit)
        query = query.where(history.c.number < before) if before is not None else query
        with self.database.read() as connection:
            return [dict(row._mapping) for row in connection.execute(query)]

    def broken(self, whole: bool = True) -> int | None:
        """The first line of the history that was tampered with; None if all is well.

        whole: all lines are looked at; else those since this process saw all well, which costs nothing where none came.
        """
        known = None if whole else self._checked
        query = select(history).where(history.c.number >= (known["number"] if known else 0)).order_by(history.c.number)
        with self.database.read() as connection:
            lines = [dict(line._mapping) for line in connection.execute(query)]
        found = broken(lines, known)
        self._checked = lines[-1] if found is None and lines else None  # else all are looked at until all is well
        return found


def _place(states: list[int | None], number: int | None) -> int:
    """Where a rollback ended: the last state before the newest that is this model."""
    return max((place for place, state in enumerate(states[:-1]) if state == number), default=-1)


def current(connection: Connection, name: str) -> Row[Any]:
    """The endpoint's row, made where it is missing, held until the transaction ends."""
    query = select(endpoint).where(endpoint.c.name == name).with_for_update()
    found = connection.execute(query).first()
    if found is None:
        connection.execute(insert(endpoint).values(name=name, generation=0, frozen=False, model_id=None))
        found = connection.execute(query).one()
    return found


def swap(connection: Connection, seen: Row[Any], number: int | None, actor: str, action: str, why: str) -> None:
    """The next generation of an endpoint that is as it was seen; Conflict where it is not."""
    changed = connection.execute(
        update(endpoint)
        .where(endpoint.c.name == seen.name, endpoint.c.generation == seen.generation)
        .values(model_id=number, generation=seen.generation + 1)
    )
    if changed.rowcount != 1:
        raise Conflict(f"{seen.name} is no longer at generation {seen.generation}")
    facts = {"endpoint": seen.name, "generation": seen.generation + 1, "from_id": seen.model_id, "to_id": number}
    append(connection, actor, action, why, **facts)
    for candidate in _ended_by(connection, seen, number):
        _end(connection, seen, candidate, actor, CANDIDATES)
    step("swapped")


def _ended_by(connection: Connection, seen: Row[Any], number: int | None) -> list[int]:
    """The candidates that cannot stand beside what is live now: this model itself, and those of another task."""
    standing = [one for one in (seen.shadow_id, seen.canary_id) if one is not None]
    rows = connection.execute(select(model.c.id, model.c.task).where(model.c.id.in_([number, *standing])))
    tasks = {row.id: row.task for row in rows}
    return [one for one in standing if one == number or tasks[one] != tasks.get(number)]


def _end(connection: Connection, seen: Row[Any], number: int | None, actor: str, roles: Collection[str]) -> None:
    """A model's part as a candidate, where it has one of these roles; a line of the history each."""
    for role in roles:
        column = CANDIDATES[role]
        if number is None or getattr(seen, column.name) != number:
            continue
        values = {column.name: None} | ({"canary_share": None} if role == "canary" else {})
        connection.execute(update(endpoint).where(endpoint.c.name == seen.name).values(values))
        append(connection, actor, "withdraw", f"no longer the {role}", endpoint=seen.name, from_id=number)


def _require_comparable(candidate: Row[Any], seen: Row[Any], live: Row[Any] | None) -> None:
    """Raises Conflict for what has nothing to be compared with."""
    if live is None:
        raise Conflict(f"nothing is live on {seen.name} that {candidate.name} {candidate.version} could stand beside")
    if live.id == candidate.id:
        raise Conflict(f"{candidate.name} {candidate.version} is live already")
    if live.task != candidate.task:
        raise Conflict(f"it is of task {candidate.task}, the live {live.name} {live.version} of {live.task}")


def _require(seen: Row[Any], generation: int | None) -> None:
    if generation is not None and seen.generation != generation:
        raise Conflict(f"{seen.name} is at generation {seen.generation} by now, not {generation}: look again")
