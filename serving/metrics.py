"""What Prometheus reads: requests, latency, batches and queues as they happen, the store's state when it asks."""

import time
from collections.abc import Callable, Iterable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Connection, func, select

from serving.database import Database
from serving.tables import drift, endpoint, feedback, job, worker
from serving.workers import ACTIVE_SECONDS

MOST_ENDPOINTS = 200  # that are counted under their own names: a client may ask for any
OTHERS = "others"
SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
SIZES = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """Of one application; `answered`, `batch` and `queue` take a microsecond or two and may be called anywhere."""

    def __init__(self, state: Collector) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(state)
        own: dict[str, Any] = {"namespace": "evergreen", "registry": self.registry}
        self._requests = Counter("requests", "Requests for predictions", ["endpoint", "status"], **own)
        self._seconds = Histogram("request_seconds", "Until the answer", ["endpoint"], buckets=SECONDS, **own)
        self._sizes = Histogram("batch_size", "Images answered together", ["endpoint"], buckets=SIZES, **own)
        self._depth = Gauge("queue_depth", "Images that wait for an engine", ["endpoint"], **own)
        self._known: dict[tuple[Any, ...], Any] = {}
        self._names: set[str] = set()

    def answered(self, endpoint: str, status: int, seconds: float) -> None:
        """A request for predictions has ended with this HTTP status."""
        self._of(self._requests, endpoint, status).inc()
        self._of(self._seconds, endpoint).observe(seconds)

    def batch(self, endpoint: str, size: int) -> None:
        """So many images were answered together."""
        self._of(self._sizes, endpoint).observe(size)

    def queue(self, endpoint: str, depth: int) -> None:
        """So many images wait."""
        self._of(self._depth, endpoint).set(depth)

    def _of(self, metric: Any, name: str, *labels: Any) -> Any:
        """A metric's child, looked up once."""
        key = (metric, name, *labels)
        found = self._known.get(key)
        if found is None:
            if name not in self._names and len(self._names) >= MOST_ENDPOINTS:
                return metric.labels(OTHERS, *labels)
            self._names.add(name)
            found = self._known[key] = metric.labels(name, *labels)
        return found


class State(Collector):
    """What the database and this process know when Prometheus asks.

    serving: what this process answers with. lost: answers that the monitoring could not keep.
    """

    def __init__(
        self, database: Database, serving: Callable[[], list[dict[str, Any]]], lost: Callable[[], int]
    ) -> None:
        self.database, self.serving, self.lost = database, serving, lost

    def collect(self) -> Iterable[Metric]:
        yield self._served()
        with self.database.read() as connection:
            yield _counted("jobs", "Jobs by state", "state", connection, job.c.state)
            yield _counted("feedback", "Corrections by people", "endpoint", connection, feedback.c.endpoint)
            yield _workers(connection)
            yield _generations(connection)
            yield from _drift(connection)
        lost = GaugeMetricFamily("evergreen_predictions_lost", "Answers that the monitoring could not keep")
        lost.add_metric([], self.lost())
        yield lost

    def _served(self) -> Metric:
        names = ["endpoint", "model", "version", "sha256", "engine", "state"]
        keys = ["endpoint", "model_id", "version", "sha256", "engine", "state"]
        family = GaugeMetricFamily("evergreen_serving_generation", "What this process answers with", labels=names)
        for one in self.serving():
            family.add_metric([str(one.get(key, "")) for key in keys], one.get("generation") or 0)
        return family


def _counted(name: str, told: str, label: str, connection: Connection, column: Any) -> Metric:
    family = GaugeMetricFamily(f"evergreen_{name}", told, labels=[label])
    for value, count in connection.execute(select(column, func.count()).group_by(column)):
        family.add_metric([value], count)
    return family


def _workers(connection: Connection) -> Metric:
    family = GaugeMetricFamily("evergreen_workers", "Workers that were heard of a moment ago")
    query = select(func.count()).select_from(worker).where(worker.c.seen > time.time() - ACTIVE_SECONDS)
    family.add_metric([], connection.execute(query).scalar_one())
    return family


def _generations(connection: Connection) -> Metric:
    family = GaugeMetricFamily("evergreen_generation", "Of what is live by the store", labels=["endpoint"])
    for name, generation in connection.execute(select(endpoint.c.name, endpoint.c.generation)):
        family.add_metric([name], generation)
    return family


def _drift(connection: Connection) -> Iterable[Metric]:
    """Of each endpoint's last window, where it is one of what is live now."""
    p = GaugeMetricFamily("evergreen_drift_p", "Corrected p of the last window", labels=["endpoint"])
    drifted = GaugeMetricFamily("evergreen_drifted", "1 where the last window has drifted", labels=["endpoint"])
    newest = select(func.max(drift.c.id)).group_by(drift.c.endpoint)
    query = select(drift).join(endpoint, endpoint.c.name == drift.c.endpoint)
    for row in connection.execute(query.where(drift.c.id.in_(newest), drift.c.generation == endpoint.c.generation)):
        p.add_metric([row.endpoint], row.p)
        drifted.add_metric([row.endpoint], float(row.drifted))
    return p, drifted
