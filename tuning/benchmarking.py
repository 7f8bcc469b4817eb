"""From settings to a filled table: what is missing is measured, model by model, the cheapest first."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from tempfile import TemporaryDirectory
from typing import Any

import psutil

from datamodule.parallel import cores
from tuning.benchmark_settings import BenchmarkSettings
from tuning.catalogue import Entry, entries
from tuning.isolation import Allowance, Failure, isolated
from tuning.jobs import Chosen, Job, Machine, engines, jobs
from tuning.speed_table import Key, Row, SpeedTable
from tuning.stamp import Stamp, now, stamped

log = logging.getLogger(__name__)

FACTS = Allowance(seconds=120, memory_mib=16384)
FREE_SHARE = 0.9
MIB = 2**20

Track = Callable[[Iterable[list[Job]], int], Iterable[list[Job]]]  # models and how many: shows how far it is


@dataclass(frozen=True)
class Look:
    """What a machine is, and the engines that can be had on it. refused: of each other one why it cannot."""

    machine: Machine
    threads: int
    engines: list[Chosen]
    refused: list[str]
    stamp: Stamp


@dataclass(frozen=True)
class Plan:
    """All that is asked of one kind of machine. models: the jobs of each, the cheapest model first."""

    settings: BenchmarkSettings
    seen: Look
    models: list[list[Job]]

    @property
    def machine(self) -> Machine:
        return self.seen.machine

    @property
    def jobs(self) -> list[Job]:
        return [job for own in self.models for job in own]

    def known(self, table: SpeedTable) -> list[Row]:
        """What the table has of it."""
        return [table.rows[job.key] for job in self.jobs if job.key in table.rows]


def planned(settings: BenchmarkSettings) -> Plan:
    """Of this machine. Raises ValueError for models, engines and devices that are not there."""
    models = entries(settings)
    return plan_of(settings, models, look(settings))


def look(settings: BenchmarkSettings) -> Look:
    """At this machine. Raises ValueError for engines and devices that are not there."""
    threads = settings.threads or cores()
    here = found_machine(settings.device, threads)
    chosen, refused = engines(settings, threads, here.versions)
    return Look(here, threads, chosen, refused, stamped(here, threads, chosen))


def plan_of(settings: BenchmarkSettings, models: Sequence[Entry], seen: Look) -> Plan:
    for reason in seen.refused:
        log.info("left out: %s", reason)
    return Plan(settings, seen, list(jobs(models, seen.engines, settings, seen.threads, seen.machine.kind)))


def found_machine(device: str, threads: int) -> Machine:
    """Asked of a child: a GPU that this process had touched could not be used by those that are forked from it."""
    from tuning.measurement import machine

    ((_, answer),) = isolated(machine, [(device, threads)], FACTS)
    if isinstance(answer, Failure):
        raise ValueError(f"benchmark.device={device} cannot be used: {answer.reason}")
    return answer


def filled(plan: Plan, table: SpeedTable, track: Track, worth: Callable[[Job], bool] = lambda job: True) -> list[Row]:
    """The rows of the plan, after those that are missing were measured and added. worth: what is measured at all."""
    left = missing(plan, table)
    for own in track(left, len(left)):
        for row in rows([job for job in own if worth(job)], plan.settings):
            table.add(row)
    return plan.known(table)


def missing(plan: Plan, table: SpeedTable) -> list[list[Job]]:
    """What the table has not; with retry also what failed."""
    left = [[job for job in own if not _is_there(job, table, plan.settings.retry)] for own in plan.models]
    return [own for own in left if own]


def _is_there(job: Job, table: SpeedTable, retry: bool) -> bool:
    row = table.rows.get(job.key)
    return row is not None and (row.works or not retry)


def rows(own: Sequence[Job], settings: BenchmarkSettings) -> Iterator[Row]:
    """Of one model, each as soon as it is known."""
    from tuning.measurement import measure

    allowance = Allowance(settings.time_limit, settings.memory_limit or FREE_SHARE * _free_mib())
    with TemporaryDirectory(prefix="evergreen-") as folder:
        for job, answer in isolated(measure, [replace(job, folder=folder) for job in own], allowance):
            yield as_row(job, answer)


def measured_once(plan: Plan, key: Key) -> Row:
    """One of the plan's, once more, in a process of its own."""
    (job,) = (job for job in plan.jobs if job.key == key)
    (row,) = rows([job], plan.settings)
    return row


def as_row(job: Job, answer: dict[str, Any] | Failure) -> Row:
    figures = {"error": answer.reason} if isinstance(answer, Failure) else answer
    return Row(**job.key._asdict(), **figures, measured=now())


def _free_mib() -> float:
    return float(psutil.virtual_memory().available) / MIB
