"""The end of a job: its model is kept, judged against the deployed one and put live, all in one transaction."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Row, select

from models.manifest import Manifest
from serving.deployments import Conflict, Deployments, current
from serving.faults import step
from serving.jobs import Late, Queue
from serving.measuring import NOT_MEASURED, not_measurable
from serving.package import BadCandidate, Measurement, Package
from serving.promotion import Measured, Rule, Verdict
from serving.store import Files, Store, sha256_of
from serving.tables import job, model

TRIES = 5  # to decide about an endpoint that changes meanwhile
URGENT = 1000  # priority of a measurement that a decision waits for


@dataclass(frozen=True)
class Candidate:
    """A model that may go live. set_digest: of the evaluation set that it was measured on; None: on none.

    job: that brings it, or the measurement that it waits for; who cancels that does not want it live by itself.
    given_up: its files were, while it waited.
    """

    name: str
    files: Files
    measured: Measured
    set_digest: str | None
    job: int | None = None
    given_up: bool = False


class Completion:
    """What happens when a model, or a measurement that a decision waited for, arrives."""

    def __init__(self, store: Store, queue: Queue, deployments: Deployments, rule: Rule) -> None:
        self.store, self.queue, self.deployments, self.rule = store, queue, deployments, rule
        self.database = store.database

    def register(self, package: Package, actor: str) -> tuple[int, Verdict]:
        """Keeps a model that no job made, and decides about it. Raises BadCandidate."""
        return self._kept(package, actor, lambda connection, made: None, {})

    def succeed(self, number: int, fence: int, worker: Row[Any], package: Package) -> tuple[int, Verdict]:
        """Ends a job with its model, once however often it is sent. Raises BadCandidate, Late."""
        earlier = self._earlier(number, fence, worker.id)
        if earlier is not None:
            return earlier

        def end(connection: Connection, made: int) -> None:
            self.queue.succeed(connection, number, fence, worker.id, made)

        return self._kept(package, f"worker {worker.name}", end, {"job_id": number, "worker": worker.name})

    def measured(self, number: int, fence: int, worker: Row[Any], found: Measurement) -> Verdict:
        """Ends a job that measured a model, and decides about the candidate that waited. Raises Late."""
        if self._earlier(number, fence, worker.id) is not None:
            return Verdict(False, "this was decided already")
        asked = self.queue.get(number)
        with self.database.alone() as connection:
            self.store.measure(connection, asked["subject_id"], found)
            candidate = replace(self._candidate(connection, asked["for_id"]), job=number)

        def end(connection: Connection) -> int:
            self.queue.succeed(connection, number, fence, worker.id, None)
            return int(asked["for_id"])

        elsewhere = found.set_digest != candidate.set_digest
        in_vain = not_measurable(f"job {number} measured it on another, {found.set_digest[:12]}")
        return self._decided(candidate, end, in_vain if elsewhere else NOT_MEASURED)[1]

    def _earlier(self, number: int, fence: int, worker_id: int) -> tuple[int, Verdict] | None:
        """What was answered already, where the answer was lost on its way. Raises Late for another's job."""
        with self.database.read() as connection:
            row = connection.execute(select(job).where(job.c.id == number)).first()
            if row is None or (row.fence, row.worker_id) != (fence, worker_id):
                raise Late(f"job {number} is no longer yours (fence {fence}): its result is not taken")
            if row.state != "succeeded":
                return None
            said = connection.execute(select(model.c.verdict).where(model.c.id == row.model_id)).scalar()
            return row.model_id, Verdict(**said or {"promote": False, "why": ""})

    def _kept(
        self, package: Package, actor: str, end: Callable[[Connection, int], None], facts: dict[str, Any]
    ) -> tuple[int, Verdict]:
        manifest = self.store.inspect(package)
        step("inspected")

        def keep(connection: Connection) -> int:
            number = self.store.add(connection, package, manifest, actor, **facts)
            end(connection, number)
            return number

        return self._decided(replace(_arrived(package, manifest, self.store), job=facts.get("job_id")), keep)

    def _decided(
        self, candidate: Candidate, keep: Callable[[Connection], int], not_measured: str = NOT_MEASURED
    ) -> tuple[int, Verdict]:
        """Judges outside of a transaction, since that takes time, and keeps all in one if nothing changed meanwhile."""
        for _ in range(TRIES):
            seen, verdict = self._judged(candidate)
            verdict = Verdict(False, not_measured) if verdict.why == NOT_MEASURED else verdict
            try:
                with self.database.alone() as connection:
                    now = _unchanged(connection, seen, verdict)
                    if verdict.promote and self.queue.is_cancelled(connection, candidate.job):
                        raise Conflict(f"job {candidate.job} was cancelled meanwhile")
                    number = keep(connection)
                    self._act(connection, now, number, verdict)
            except Conflict:
                continue
            step("committed")
            return number, verdict
        raise Conflict(f"{candidate.name} changes all the time: send it again")

    def _judged(self, candidate: Candidate) -> tuple[Row[Any], Verdict]:
        """What is live, and the verdict about taking its place."""
        with self.database.alone() as connection:
            seen = current(connection, candidate.name)
            deployed = None
            if seen.model_id is not None and candidate.set_digest is not None:
                deployed = self.store.measured(connection, seen.model_id, candidate.set_digest)
            if self.queue.is_cancelled(connection, candidate.job):
                return seen, Verdict(False, f"job {candidate.job} was cancelled before its end arrived")
        verdict = self._verdict(seen, candidate, deployed)
        return seen, self._verified(candidate, verdict) if verdict.promote else verdict

    def _verdict(self, seen: Row[Any], candidate: Candidate, deployed: Measured | None) -> Verdict:
        if candidate.given_up:
            return Verdict(False, "its files were given up meanwhile: it can only be trained again")
        if seen.frozen:
            return Verdict(False, "automatic deployment is frozen here")
        if seen.model_id is None:
            return Verdict(True, "nothing was live")
        if candidate.set_digest is None:
            return Verdict(False, "it was not measured on any set")
        if deployed is None:
            return Verdict(False, NOT_MEASURED)
        if deployed.task != candidate.measured.task:
            return Verdict(False, f"it is of task {candidate.measured.task}, the deployed one of {deployed.task}")
        return self.rule.judge(candidate.measured, deployed)

    def _verified(self, candidate: Candidate, verdict: Verdict) -> Verdict:
        try:
            self.store.verify(candidate.files)
        except BadCandidate as error:
            return Verdict(False, f"it does not work: {error}")
        return verdict

    def _act(self, connection: Connection, seen: Row[Any], number: int, verdict: Verdict) -> None:
        self.store.told(connection, number, verdict)
        if verdict.promote:
            self.deployments.promote(connection, seen, number, verdict)
        elif verdict.why == NOT_MEASURED:
            facts = {"subject_id": seen.model_id, "for_id": number, "priority": URGENT}
            self.queue.add(connection, "evaluate", seen.name, [], **facts)

    def _candidate(self, connection: Connection, number: int) -> Candidate:
        """A model that is in the store, as it was measured last."""
        row = self.store.row(connection, number)
        digest = self.store.newest_set(connection, number)
        measured = self.store.measured(connection, number, digest)
        assert measured is not None
        files = Files(row.file_sha256, row.manifest_sha256, row.golden_sha256)
        return Candidate(row.name, files, measured, digest, given_up=row.pruned is not None)


def _unchanged(connection: Connection, seen: Row[Any], verdict: Verdict) -> Row[Any]:
    now = current(connection, seen.name)
    if now.generation != seen.generation or (verdict.promote and now.frozen):
        raise Conflict(f"{seen.name} changed meanwhile")
    return now


def _arrived(package: Package, manifest: Manifest, store: Store) -> Candidate:
    """A package as the rule sees it."""
    found = package.measurement
    predictions = found.predictions if found else None
    measured = Measured(
        "the new one",
        manifest.task,
        found.figures if found else {},
        found.images if found else 0,
        manifest.parameters,
        lambda: store.blobs.read(predictions).decode() if predictions else None,
    )
    files = Files(package.model, sha256_of(package.manifest), package.golden)
    return Candidate(package.name, files, measured, found.set_digest if found else None)
