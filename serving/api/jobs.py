"""Jobs for people: sweeps in, states, curves and lines out, cancel and retry."""

from typing import Annotated, Any, Literal

from fastapi import Depends, Header, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from models.direction import lower_is_better
from models.scores import PLAIN_NUMBERS, TITLES
from serving.api.doors import Key, Routes, identity_of
from serving.jobs import Queue
from serving.package import Name
from serving.promotion import LEADING
from serving.submission import Submission
from serving.sweeps import SHORT
from utils.overrides import options

Id = Annotated[int, Query(ge=0, lt=2**31)]
Limit = Annotated[int, Query(ge=1, le=1000)]
State = Literal["queued", "running", "succeeded", "failed", "cancelled", "dead"]
GRID = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"type": "object"}, "example": {"LEARNING_RATE": [0.001, 0.002]}}},
    }
}
GROUPS = ("models", "optimizers", "schedulers")  # whose options are offered to a person who builds a sweep


class Priority(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    priority: Annotated[int, Field(ge=-100, le=100)]


async def body(request: Request) -> bytes:
    return await request.body()


def add_submission(routes: Routes, submission: Submission) -> None:
    @routes.add("POST", "/api/jobs", "operator", status_code=201, openapi_extra=GRID)
    def submit(
        request: Request,
        response: Response,
        text: Annotated[bytes, Depends(body)],
        name: Name = "main",
        priority: Annotated[int, Query(ge=-100, le=100)] = 0,
        strict: bool = False,
        dry_run: bool = False,
        idempotency_key: Annotated[str | None, Header(max_length=80)] = None,
    ) -> dict[str, Any]:
        """A job for each combination of the JSON's lists; `{"tune": {"space": […]}}` is one job that searches.

        Keys of `tune` that are lists on a command line (objective, mode, constraints, when, auto) are lists here, too.

        dry_run: only tells how many jobs that would be, and which keys are not understood.
        """
        if dry_run:
            response.status_code = 200
            return submission.preview(text, strict)
        return submission.submit(text, name, identity_of(request).actor, priority, strict, idempotency_key)

    @routes.add("GET", "/api/words", "viewer")
    def words() -> dict[str, Any]:
        """What a person who builds a sweep can choose from, and what figures are called."""
        return {
            "short": SHORT,
            "options": {group: options(group) for group in GROUPS},
            "titles": TITLES,
            "leading": LEADING,
            "lower_is_better": sorted(filter(lower_is_better, TITLES)),
            "plain_numbers": sorted(PLAIN_NUMBERS),
        }


def add_jobs(routes: Routes, queue: Queue) -> None:
    @routes.add("GET", "/api/jobs", "viewer")
    def listed(
        sweep: Id | None = None, state: State | None = None, limit: Limit = 200, before: Id | None = None
    ) -> list[dict[str, Any]]:
        """The newest first."""
        return queue.every(sweep, state, limit, before)

    @routes.add("GET", "/api/jobs/{number}", "viewer")
    def one(number: Key) -> dict[str, Any]:
        return queue.get(number)

    @routes.add("GET", "/api/jobs/{number}/events", "viewer")
    def events(
        number: Key, fence: Id = 0, after: Id = 0, limit: Limit = 1000, kind: Literal["line", "figures"] | None = None
    ) -> list[dict[str, Any]]:
        """Log lines and figures after a place (fence, after), oldest first."""
        return queue.events(number, fence, after, limit, kind)

    @routes.add("POST", "/api/jobs/{number}/priority", "operator")
    def prioritize(number: Key, asked: Priority) -> dict[str, int]:
        """Of one that waits; the higher comes first."""
        return {"priority": queue.prioritize(number, asked.priority)}

    @routes.add("POST", "/api/jobs/{number}/cancel", "operator")
    def cancel(number: Key) -> dict[str, str]:
        """A running job ends as soon as its worker hears of it."""
        return {"state": queue.cancel(number)}

    @routes.add("POST", "/api/sweeps/{number}/cancel", "operator")
    def cancel_sweep(number: Key) -> dict[str, int]:
        """All of its jobs that wait or run."""
        return {"cancelled": queue.cancel_sweep(number)}

    @routes.add("POST", "/api/jobs/{number}/retry", "operator")
    def retry(number: Key) -> dict[str, str]:
        """Of one that failed, was cancelled or is dead."""
        return {"state": queue.retry(number)}
