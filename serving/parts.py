"""What the server consists of, put together once: the store and all that works on it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from serving.blobs import BLOBS
from serving.bundle import load
from serving.completion import Completion
from serving.database import Database, has_schema
from serving.deployments import Deployments
from serving.endpoints import Serving
from serving.feedback import Feedback
from serving.folder import bind, refuse_foreign
from serving.jobs import Queue
from serving.metrics import Metrics, State
from serving.monitoring.answered import Answered
from serving.monitoring.monitor import Monitor
from serving.monitoring.windows import Windows
from serving.promotion import Rule
from serving.settings import MEBIBYTE, ServingSettings
from serving.store import Store, Verify
from serving.submission import Submission
from serving.sweeps import Check, check_training
from serving.tokens import Tokens
from serving.workers import Workers


@dataclass(frozen=True)
class Parts:
    """Everything that routes need."""

    settings: ServingSettings
    database: Database
    tokens: Tokens
    store: Store
    deployments: Deployments
    queue: Queue
    completion: Completion
    workers: Workers
    submission: Submission
    serving: Serving
    monitor: Monitor
    metrics: Metrics
    feedback: Feedback


def require_store(settings: ServingSettings) -> None:
    """Raises ValueError where no store is; nothing is made there."""
    if (settings.folder / BLOBS).is_dir() and has_schema(settings.folder, settings.database):
        return
    place = f"{settings.folder}{' with its serving.database' if settings.database else ''}"
    raise ValueError(f"{place} is no store: give the serving.root=DIR of one; python -m serving makes a new one")


def _database(root: Path, url: str | None) -> Database:
    """A store's own, held against the folder with its files."""
    if url is None:
        refuse_foreign(root)
        return Database(root)
    database = Database(root, url)
    try:
        bind(root, database, url)
    except ValueError:
        database.close()
        raise
    return database


def assemble(
    settings: ServingSettings,
    rule: Rule,
    version: str,
    verify: Verify,
    engine: Mapping[str, Any] | None = None,
    check: Check = check_training,
) -> Parts:
    """Opens the store below `settings.root`; makes it where there is none.

    engine: the node of what answers images; only a server needs it. check: refuses what no worker could begin.
    """
    root = settings.folder
    database = _database(root, settings.database)
    store = Store(root, database, verify)
    deployments = Deployments(store)
    queue = Queue(database, settings.lease_seconds, settings.max_attempts)
    workers = Workers(database, version)
    windows = Windows(store, settings.drift_window, settings.drift_alpha)
    monitor = Monitor(database, windows, settings.keep_predictions, settings.keep_days)

    def record(answered: Sequence[Answered], waiting: int) -> None:
        monitor.record(answered)
        metrics.batch(answered[0].endpoint, len(answered))
        metrics.queue(answered[0].endpoint, waiting)

    serving = Serving(deployments, settings, partial(load, store, engine or {}, settings.max_batch), record)
    metrics = Metrics(State(database, serving.state, lambda: monitor.lost))
    return Parts(
        settings,
        database,
        Tokens(database),
        store,
        deployments,
        queue,
        Completion(store, queue, deployments, rule),
        workers,
        Submission(queue, workers, settings.max_jobs_of_a_sweep, check),
        serving,
        monitor,
        metrics,
        Feedback(root, deployments, settings.max_feedback, int(settings.max_feedback_mib * MEBIBYTE)),
    )
