"""What a benchmark measures on: this machine, or the kinds of machines of a Ray cluster."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from tuning.benchmark_settings import BenchmarkSettings
from tuning.benchmarking import Plan, Track, filled, planned
from tuning.jobs import Job
from tuning.speed_table import SpeedTable


class Machines(Protocol):
    """plans: one for each kind."""

    plans: list[Plan]

    def fill(self, table: SpeedTable, track: Track, worth: Callable[[Plan], Callable[[Job], bool]]) -> None: ...


class Here:
    """This machine."""

    def __init__(self, settings: BenchmarkSettings) -> None:
        self.plans = [planned(settings)]

    def fill(self, table: SpeedTable, track: Track, worth: Callable[[Plan], Callable[[Job], bool]]) -> None:
        filled(self.plans[0], table, track, worth(self.plans[0]))


@contextmanager
def machines(settings: BenchmarkSettings) -> Iterator[Machines]:
    """Raises ValueError for what is asked for and cannot be had."""
    if not settings.ray:
        yield Here(settings)
        return
    try:
        from tuning.benchmark_cluster import cluster
    except ModuleNotFoundError as error:
        raise ValueError("ray=True needs Ray: pip install -r requirements-ray.txt") from error
    with cluster(settings) as found:
        yield found
