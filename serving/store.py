"""The models: names, versions, where they come from, how they were measured, and which are kept."""

import hashlib
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, Row, func, insert, select, update

from models.manifest import Manifest
from serving.blobs import DAY, Blobs
from serving.database import Database, added
from serving.history import append
from serving.jobs import OPEN
from serving.package import BadCandidate, Measurement, Package, check_weights, manifest_of, network_of
from serving.promotion import Measured, Verdict
from serving.tables import endpoint, evaluation, history, job, model

SERVED = "served"  # below the root: of each model that was live, its files and its engines
ASIDE = ".aside"  # how a folder there ends that is about to be deleted
FILES = ("file_sha256", "manifest_sha256", "configuration_sha256", "golden_sha256")


@dataclass(frozen=True)
class Files:
    """A model's files by the sha256 that names them."""

    model: str
    manifest: str
    golden: str | None = None

    @property
    def folder(self) -> str:
        """What they are called together, where they lie under their own names."""
        return f"{self.model[:16]}-{self.manifest[:16]}"

    @property
    def named(self) -> list[str]:
        """Those that there are."""
        return [sha for sha in (self.model, self.manifest, self.golden) if sha is not None]


Verify = Callable[[Blobs, Files], None]  # raises BadCandidate for what must not go live


class Store:
    """Models in a database and their files among the blobs. verify: is asked before a model goes live."""

    def __init__(self, root: Path, database: Database, verify: Verify) -> None:
        self.root, self.database, self.blobs, self._verify = root, database, Blobs(root), verify

    def verify(self, files: Files) -> None:
        """Raises BadCandidate for a model that does not work: it must not go live."""
        self._verify(self.blobs, files)

    def require_working(self, number: int) -> None:
        """Raises BadCandidate with a model's name where it does not work, LookupError where it has no files."""
        try:
            self.verify(self.files(number))
        except BadCandidate as error:
            named = self.get(number)
            raise BadCandidate(f"{named['name']} {named['version']} does not work: {error}") from error

    def files(self, number: int) -> Files:
        """Those of a model. Raises LookupError where there is no such model, or its files were given up."""
        with self.database.read() as connection:
            row = self.row(connection, number)
        if row.pruned is not None:
            raise LookupError(f"the files of {row.name} {row.version} were given up")
        return Files(row.file_sha256, row.manifest_sha256, row.golden_sha256)

    def inspect(self, package: Package) -> Manifest:
        """The manifest of a package whose files are here and sound. Raises BadCandidate."""
        manifest = manifest_of(package)
        measured = package.measurement
        named = (package.model, package.configuration, package.golden, measured and measured.predictions)
        if missing := [sha for sha in named if sha and not self.blobs.has(sha)]:
            raise BadCandidate(f"file {missing[0]} was not sent yet")
        check_weights(self.blobs.path(package.model), manifest)
        self.blobs.put(package.manifest.encode(), sha256_of(package.manifest))
        return manifest

    def add(self, connection: Connection, package: Package, manifest: Manifest, actor: str, **facts: Any) -> int:
        """A new version of an inspected package, within a transaction of `Database.alone`; its number.

        facts: job_id, worker.
        """
        if not self.blobs.has(package.model):
            raise BadCandidate(f"file {package.model} was given up in the meantime: send it again")
        highest = connection.execute(select(func.max(model.c.version)).where(model.c.name == package.name)).scalar()
        row = {
            "name": package.name,
            "version": (highest or 0) + 1,
            "file_sha256": package.model,
            "manifest_sha256": sha256_of(package.manifest),
            "configuration_sha256": package.configuration,
            "golden_sha256": package.golden,
            "weights_sha256": manifest.weights_sha256,
            "bytes": self.blobs.size(package.model),
            "parameters": manifest.parameters,
            "task": manifest.task,
            "architecture": _named(manifest.architecture),
            "classes": manifest.classes,
            "parent_sha256": manifest.parent,
            "data_digest": manifest.data_digest,
            "split": package.split,
            "configuration_digest": manifest.configuration_digest,
            "code_version": package.code_version,
            "actor": actor,
            "created": time.time(),
        }
        number = added(connection, model, row | facts)
        if package.measurement:
            self.measure(connection, number, package.measurement)
        return number

    def measure(self, connection: Connection, number: int, found: Measurement) -> None:
        """Adds a model's figures on a set; those that are there stay."""
        known = connection.execute(_evaluation(number, found.set_digest)).first()
        if known is None:
            row = found.model_dump(exclude={"predictions"}) | {"predictions_sha256": found.predictions}
            connection.execute(insert(evaluation).values(model_id=number, created=time.time(), **row))

    def measured(self, connection: Connection, number: int, set_digest: str) -> Measured | None:
        """A model on an evaluation set; None where it was not measured there."""
        found = connection.execute(_evaluation(number, set_digest)).first()
        if found is None:
            return None
        row = self.row(connection, number)
        predictions = found.predictions_sha256
        return Measured(
            f"{row.name} {row.version}",
            row.task,
            found.figures,
            found.images,
            row.parameters,
            lambda: self.blobs.read(predictions).decode() if predictions else None,
        )

    def newest_set(self, connection: Connection, number: int) -> str:
        """The evaluation set that a model was measured on last."""
        query = select(evaluation.c.set_digest).where(evaluation.c.model_id == number)
        return str(connection.execute(query.order_by(evaluation.c.id.desc()).limit(1)).scalar_one())

    def told(self, connection: Connection, number: int, verdict: Verdict) -> None:
        """Keeps with the model what was decided about it."""
        said = {"promote": verdict.promote, "why": verdict.why}
        connection.execute(update(model).where(model.c.id == number).values(verdict=said))

    def row(self, connection: Connection, number: int) -> Row[Any]:
        """A model's row; LookupError where there is none."""
        found = connection.execute(select(model).where(model.c.id == number)).first()
        if found is None:
            raise LookupError(f"there is no model {number}")
        return found

    def get(self, number: int) -> dict[str, Any]:
        """A model with its evaluations."""
        with self.database.read() as connection:
            return self._shown(connection, [self.row(connection, number)])[0]

    def every(self, name: str | None = None, limit: int = 200, before: int | None = None) -> list[dict[str, Any]]:
        """Models with their evaluations, the newest first."""
        query = select(model).order_by(model.c.id.desc()).limit(limit)
        query = query.where(model.c.name == name) if name is not None else query
        query = query.where(model.c.id < before) if before is not None else query
        with self.database.read() as connection:
            return self._shown(connection, connection.execute(query).all())

    def _shown(self, connection: Connection, rows: Sequence[Row[Any]]) -> list[dict[str, Any]]:
        query = select(evaluation).where(evaluation.c.model_id.in_([row.id for row in rows])).order_by(evaluation.c.id)
        found = [dict(row._mapping) for row in connection.execute(query)]
        live = set(connection.execute(select(endpoint.c.model_id)).scalars())
        return [
            dict(row._mapping)
            | {"live": row.id in live, "evaluations": [one for one in found if one["model_id"] == row.id]}
            for row in rows
        ]

    def within_reach(self, connection: Connection, reach: int) -> set[int]:
        """The models that have a part, and those of each endpoint's last changes, which a rollback can bring back."""
        places = connection.execute(select(endpoint.c.model_id, endpoint.c.shadow_id, endpoint.c.canary_id))
        wanted = {number for row in places for number in row if number}
        for name in connection.execute(select(endpoint.c.name)).scalars().all():
            changes = select(history.c.to_id).where(
                history.c.endpoint == name, history.c.generation.is_not(None), history.c.to_id.is_not(None)
            )
            numbers = connection.execute(changes.order_by(history.c.number.desc())).scalars()
            wanted |= set(list(dict.fromkeys(numbers))[: reach + 1])
        return wanted

    def prune(self, keep: int, reach: int, actor: str, even_within_reach: bool = False) -> list[str]:
        """Gives up the files of all but each name's `keep` newest models; their rows stay. Answers what was given up.

        The live model always stays, and what a decision waits for; those within a rollback's reach do unless
        even_within_reach. Raises Busy while a backup is made.
        """
        with self.blobs.given_up():
            gone = self._given_up(keep, 0 if even_within_reach else reach, actor)
            with self.database.alone() as connection:  # now that nothing can bring the rows back that named the files
                self.blobs.prune(referenced(connection))
                self._set_aside(connection)
            self._clear_aside()
        return [f"{row.name} {row.version}" for row in gone]

    def _set_aside(self, connection: Connection) -> None:
        """What answered with models that gave up their files gets another name, once old: it holds their bytes."""
        rows = connection.execute(select(model).where(model.c.pruned.is_(None)))
        kept = {Files(row.file_sha256, row.manifest_sha256).folder for row in rows}
        for folder in (self.root / SERVED).glob("*"):
            if folder.name not in kept and folder.suffix != ASIDE and folder.stat().st_mtime < time.time() - DAY:
                folder.rename(folder.with_name(f"{uuid4().hex}{ASIDE}"))

    def _clear_aside(self) -> None:
        """Takes as long as it takes: nobody waits for it, and what a process that died has left goes with it."""
        for folder in (self.root / SERVED).glob(f"*{ASIDE}"):
            shutil.rmtree(folder, ignore_errors=True)

    def _given_up(self, keep: int, reach: int, actor: str) -> list[Row[Any]]:
        """The models that need their files no more; marked."""
        with self.database.alone() as connection:
            stays = self.within_reach(connection, reach) | _awaited(connection)
            rows = connection.execute(select(model).where(model.c.pruned.is_(None)).order_by(model.c.id.desc())).all()
            stays |= {row.id for name in {row.name for row in rows} for row in _of(rows, name)[:keep]}
            gone = [row for row in rows if row.id not in stays]
            for row in gone:
                connection.execute(update(model).where(model.c.id == row.id).values(pruned=time.time()))
                append(connection, actor, "prune", f"the files of {row.name} {row.version}", from_id=row.id)
        return gone

    def damaged(self) -> list[str]:
        """The files that models need and that are missing or hold something else."""
        with self.database.read() as connection:
            return sorted(sha for sha in referenced(connection) if self.blobs.corrupt(sha))


def referenced(connection: Connection) -> set[str]:
    """The files that models need, by their sha256."""
    rows = connection.execute(select(model).where(model.c.pruned.is_(None))).all()
    there = select(model.c.id).where(model.c.pruned.is_(None))  # no list of numbers: a statement holds so many at most
    predictions = select(evaluation.c.predictions_sha256).where(evaluation.c.model_id.in_(there))
    named = {getattr(row, column) for row in rows for column in FILES}
    return {sha for sha in named | set(connection.execute(predictions).scalars()) if sha}


def _awaited(connection: Connection) -> set[int]:
    """The candidates whose decision waits for a measuring, and the models that it measures."""
    open_ = select(job.c.for_id, job.c.subject_id).where(job.c.kind == "evaluate", job.c.state.in_(OPEN))
    return {number for row in connection.execute(open_) for number in row if number is not None}


def require_whole(blobs: Blobs, files: Files) -> None:
    """Raises BadCandidate for a file that is missing or holds something else than its name says."""
    for sha in files.named:
        if blobs.corrupt(sha):
            raise BadCandidate(f"file {sha} is missing or damaged")


def _of(rows: Sequence[Row[Any]], name: str) -> list[Row[Any]]:
    return [row for row in rows if row.name == name]


def _evaluation(number: int, set_digest: str) -> Any:
    return select(evaluation).where(evaluation.c.model_id == number, evaluation.c.set_digest == set_digest)


def _named(architecture: dict[str, Any]) -> str:
    architecture = network_of(architecture)
    return str(architecture.get("architecture") or architecture["_target_"].rpartition(".")[2])[:200]


def sha256_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
