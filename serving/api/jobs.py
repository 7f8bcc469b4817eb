"""Jobs for people: sweeps in, states, curves and lines out, cancel and retry."""

from typing import Annotated, Any

from fastapi import Depends, Header, Query, Request

from serving.api.doors import Key, Routes, identity_of
from serving.jobs import Queue
from serving.package import Name
from serving.submission import Submission

Id = Annotated[int, Query(ge=0, lt=2**31)]
Limit = Annotated[int, Query(ge=1, le=1000)]
State = Annotated[str, Query(pattern="^(queued|running|succeeded|failed|cancelled|dead)$")]
GRID = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"type": "object"}, "example": {"LEARNING_RATE": [0.001, 0.002]}}},
    }
}


async def body(request: Request) -> bytes:
    return await request.body()


def add_jobs(routes: Routes, queue: Queue, submission: Submission) -> None:
    @routes.add("POST", "/api/jobs", "operator", status_code=201, openapi_extra=GRID)
    def submit(
        request: Request,
        text: Annotated[bytes, Depends(body)],
        name: Name = "main",
        priority: Annotated[int, Query(ge=-100, le=100)] = 0,
        strict: bool = False,
        idempotency_key: Annotated[str | None, Header(max_length=80)] = None,
    ) -> dict[str, Any]:
        """A job for each combination of the JSON's lists; `{"tune": {"space": […]}}` is one job that searches."""
        return submission.submit(text, name, identity_of(request).actor, priority, strict, idempotency_key)

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
    def events(number: Key, fence: Id = 0, after: Id = 0, limit: Limit = 1000) -> list[dict[str, Any]]:
        """Log lines and figures after a place (fence, after), oldest first."""
        return queue.events(number, fence, after, limit)

    @routes.add("POST", "/api/jobs/{number}/cancel", "operator")
    def cancel(number: Key) -> dict[str, str]:
        """A running job ends as soon as its worker hears of it."""
        return {"state": queue.cancel(number)}

    @routes.add("POST", "/api/jobs/{number}/retry", "operator")
    def retry(number: Key) -> dict[str, str]:
        """Of one that failed, was cancelled or is dead."""
        return {"state": queue.retry(number)}
