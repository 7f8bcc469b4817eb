"""What the server consists of, put together once: the store and all that works on it."""

from dataclasses import dataclass
from pathlib import Path

from serving.completion import Completion
from serving.database import Database
from serving.deployments import Deployments
from serving.jobs import Queue
from serving.promotion import Rule
from serving.settings import ServingSettings
from serving.store import Store, Verify
from serving.submission import Submission
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


def assemble(settings: ServingSettings, rule: Rule, version: str, verify: Verify) -> Parts:
    """Opens the store below `settings.root`; makes it where there is none."""
    root = Path(settings.root).expanduser().absolute()
    database = Database(root, settings.database)
    store = Store(root, database, verify)
    deployments = Deployments(store)
    queue = Queue(database, settings.lease_seconds, settings.max_attempts)
    workers = Workers(database, version)
    return Parts(
        settings,
        database,
        Tokens(database),
        store,
        deployments,
        queue,
        Completion(store, queue, deployments, rule),
        workers,
        Submission(queue, workers, settings.max_jobs_of_a_sweep),
    )
