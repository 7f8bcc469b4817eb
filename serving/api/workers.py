"""Jobs for workers: join, claim, report, end. Each only about its own jobs, by worker number, token and fence."""

from typing import Annotated, Any, Literal

from fastapi import Request, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from sqlalchemy import Row

from serving.api.doors import Key, Routes, identity_of
from serving.completion import Completion
from serving.jobs import Queue
from serving.package import Measurement, Name, Package
from serving.store import Store
from serving.sweeps import check_declared
from serving.workers import Workers

Text = Annotated[str, StringConstraints(max_length=200)]
Line = Annotated[str, StringConstraints(max_length=2000)]
Number = Annotated[int, Field(ge=0, lt=2**31)]
RESULT = 8 << 20  # bytes of a package: its manifest lists the classes


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Joining(Strict):
    """declared: what the worker's jobs have where they say nothing, as overrides without places."""

    name: Name
    version: Text
    machine: Text
    declared: Annotated[list[Text], Field(max_length=100)] = []


class Event(Strict):
    seq: Annotated[int, Field(ge=1, lt=2**31)]
    kind: Literal["line", "figures"]
    payload: Line | Annotated[dict[Text, float | None], Field(max_length=100)]


class Mine(Strict):
    """worker, fence: as the claim gave them."""

    worker: Number
    fence: Number


class Progress(Mine):
    events: Annotated[list[Event], Field(max_length=1000)] = []


class Success(Mine):
    package: Package


class Found(Mine):
    measurement: Measurement


class Failure(Mine):
    error: Annotated[str, StringConstraints(max_length=20_000)]


def caller(workers: Workers, request: Request, number: int) -> Row[Any]:
    """The worker that a request comes from; LookupError for a number that is not its token's."""
    return workers.seen(number, identity_of(request).token_id)


def add_workers(routes: Routes, workers: Workers, queue: Queue, store: Store) -> None:
    @routes.add("POST", "/api/workers", "worker", status_code=201)
    def join(asked: Joining, request: Request) -> dict[str, Any]:
        """The worker's number and name, and how long a lease lasts."""
        token = identity_of(request).token_id
        check_declared(asked.declared)
        joined = workers.join(asked.name, token, asked.version, asked.machine, asked.declared)
        return joined | {"lease_seconds": queue.lease_seconds}

    @routes.add("GET", "/api/workers", "viewer")
    def listed() -> list[dict[str, Any]]:
        """The last heard of first."""
        return workers.every()

    @routes.add("POST", "/api/workers/{number}/claim", "worker", response_model=None)
    def claim(number: Key, request: Request) -> dict[str, Any] | Response:
        """The next job, or 204. One that measures names the models whose files it needs."""
        own = caller(workers, request, number)
        workers.require_same(own.version)
        found = queue.claim(own.id)
        if found is None:
            return Response(status_code=204)
        models = {role: found[f"{role}_id"] for role in ("subject", "for")}
        return found | {role: store.get(one) for role, one in models.items() if one is not None}


def add_reports(routes: Routes, workers: Workers, queue: Queue) -> None:
    """What a worker says of its job while it has it, and where it gives it up."""

    @routes.add("POST", "/api/jobs/{number}/progress", "worker", limit=4 << 20)
    def progress(number: Key, said: Progress, request: Request) -> dict[str, bool]:
        """Renews the lease; answers whether to stop."""
        events = [event.model_dump() for event in said.events]
        return {"cancel": queue.progress(number, said.fence, caller(workers, request, said.worker).id, events)}

    @routes.add("POST", "/api/jobs/{number}/fail", "worker")
    def fail(number: Key, said: Failure, request: Request) -> dict[str, str]:
        """A training ends; a measuring is queued again, some times."""
        return {"state": queue.fail(number, said.fence, caller(workers, request, said.worker).id, said.error)}

    @routes.add("POST", "/api/jobs/{number}/release", "worker")
    def release(number: Key, said: Mine, request: Request) -> dict[str, str]:
        """Gives the job back to the queue; one that was cancelled ends."""
        return {"state": queue.release(number, said.fence, caller(workers, request, said.worker).id)}

    @routes.add("POST", "/api/jobs/{number}/stopped", "worker")
    def stopped(number: Key, said: Mine, request: Request) -> dict[str, str]:
        """After a cancellation."""
        queue.stopped(number, said.fence, caller(workers, request, said.worker).id)
        return {"state": "cancelled"}


def add_results(routes: Routes, workers: Workers, completion: Completion) -> None:
    @routes.add("POST", "/api/jobs/{number}/succeed", "worker", limit=RESULT)
    def succeed(number: Key, said: Success, request: Request) -> dict[str, Any]:
        """Keeps the model and decides about it, in one transaction; sent again it answers the same."""
        made, verdict = completion.succeed(number, said.fence, caller(workers, request, said.worker), said.package)
        return {"model": made, "promoted": verdict.promote, "why": verdict.why}

    @routes.add("POST", "/api/jobs/{number}/measured", "worker")
    def measured(number: Key, said: Found, request: Request) -> dict[str, Any]:
        """Of a job that measures a model which is live."""
        verdict = completion.measured(number, said.fence, caller(workers, request, said.worker), said.measurement)
        return {"promoted": verdict.promote, "why": verdict.why}
