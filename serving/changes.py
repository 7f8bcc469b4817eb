"""What open pages must hear of, told cheaply: what is live in full, of the rest a mark that changes when it does."""

from typing import Any

from sqlalchemy import Connection, func, select

from serving.jobs import OPEN
from serving.parts import Parts
from serving.tables import evaluation, history, job, job_event, model, worker

OPEN_SUMS = (job.c.id, job.c.fence, job.c.priority, job.c.attempt)


def state(parts: Parts) -> dict[str, Any]:
    """As `/api/events` sends it. jobs: how many in each state. reported: running job → its attempt and last event.

    Whoever sees that a mark is another asks the API for what it stands for.
    """
    with parts.database.read() as connection:
        counts = _counts(connection)
        marks = {"jobs": _of_jobs(connection, counts), "models": _of_models(connection)}
        marks |= {"workers": _of_workers(connection), "history": [_highest(connection, history.c.number)]}
        reported = _reported(connection)
    return {
        "kind": "state",
        "deployments": parts.deployments.every(),
        "serving": parts.serving.state(),
        "jobs": counts,
        "reported": reported,
        "marks": marks,
    }


def _counts(connection: Connection) -> dict[str, int]:
    """From the index alone."""
    found = connection.execute(select(job.c.state, func.count()).group_by(job.c.state).order_by(job.c.state))
    return {row[0]: row[1] for row in found}


def _of_jobs(connection: Connection, counts: dict[str, int]) -> list[Any]:
    """Ended jobs change by being started again, which shows among the open ones."""
    sums = connection.execute(select(*map(func.sum, OPEN_SUMS)).where(job.c.state.in_(OPEN))).one()
    asked = select(func.count()).where(job.c.state == "running", job.c.cancel_requested)
    return [*counts.values(), *sums, connection.execute(asked).scalar_one()]


def _of_models(connection: Connection) -> list[Any]:
    """New ones, new figures, and the measurings that some wait for: what is said of them changes when these end."""
    waiting = select(func.count(), func.sum(job.c.fence)).where(job.c.state.in_(OPEN), job.c.for_id.is_not(None))
    highest = [_highest(connection, column) for column in (model.c.id, evaluation.c.id)]
    return [*highest, *connection.execute(waiting).one()]


def _of_workers(connection: Connection) -> list[Any]:
    """Those that joined or came again; who was heard of last is too much news to push."""
    return list(connection.execute(select(func.max(worker.c.id), func.max(worker.c.joined))).one())


def _highest(connection: Connection, column: Any) -> int:
    return connection.execute(select(func.max(column))).scalar() or 0


def _reported(connection: Connection) -> dict[str, list[int]]:
    last = (
        select(func.max(job_event.c.seq))
        .where(job_event.c.job_id == job.c.id, job_event.c.fence == job.c.fence)
        .scalar_subquery()
    )
    rows = connection.execute(select(job.c.id, job.c.fence, last).where(job.c.state == "running"))
    return {str(row[0]): [row[1], row[2] or 0] for row in rows}
