"""The words of a model that waits until the deployed one is measured: they follow that job's state, however it ends."""

from sqlalchemy import Connection, select, update

from serving.tables import job, model

NOT_MEASURED = "the deployed model was not measured on this set: a job measures it, then it is decided"
ENDED = {"failed": "failed", "dead": "was given up", "cancelled": "was cancelled"}
LONGEST_REASON = 300


def not_measurable(reason: str) -> str:
    return f"the deployed model could not be measured on this set ({reason}): a person decides"


def tell(connection: Connection, number: int) -> None:
    """Keeps with the model that waits for a job, where one does, what the job's state means for its decision."""
    row = connection.execute(select(job.c.for_id, job.c.state, job.c.error).where(job.c.id == number)).one()
    if row.for_id is None:
        return
    why = NOT_MEASURED
    if row.state in ENDED:
        why = not_measurable(f"job {number} {ENDED[row.state]}{_last(row.error)}")
    connection.execute(update(model).where(model.c.id == row.for_id).values(verdict={"promote": False, "why": why}))


def _last(error: str | None) -> str:
    """An error's last line, where a traceback says what went wrong."""
    lines = (error or "").split("\n")
    said = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return f": {said[:LONGEST_REASON]}" if said else ""
