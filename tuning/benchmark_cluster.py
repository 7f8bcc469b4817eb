"""A benchmark spread over the machines of a Ray cluster: each model is measured once on each kind of machine.

A machine measures one model at a time and has nothing else of Ray's to do meanwhile, since that would be measured, too.
"""

import json
import logging
import os
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayActorError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from tuning.benchmark_settings import BenchmarkSettings
from tuning.benchmark_worker import look_of
from tuning.benchmarking import Plan, Track, as_row, missing, plan_of
from tuning.catalogue import Entry, entries
from tuning.isolation import Failure
from tuning.jobs import Job
from tuning.speed_table import Row, SpeedTable
from utils.build import ROOT
from utils.log import first_line
from utils.ray_session import connected

log = logging.getLogger(__name__)
LOOKING_S = 300.0  # until a machine has room, has torch imported, and has told what it is
Worth = Callable[[Job], bool]


class Worker:
    """What Ray runs on a machine: it asks tuning.benchmark_worker, in a process that has no threads of Ray's."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[str] | None = None

    def ask(self, question: str) -> str:
        """Empty where the process died of it; the next question is asked of a new one."""
        if self.process is None or self.process.poll() is not None:
            line = [sys.executable, "-m", "tuning.benchmark_worker"]
            self.process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(question + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline()


@dataclass
class Far:
    """A machine of the cluster."""

    name: str
    actor: Any
    plan: Plan | None = None

    def ask(self, ask: str, settings: BenchmarkSettings, **more: Any) -> Any:
        """A reference to the answer."""
        return self.actor.ask.remote(json.dumps({"ask": ask, "settings": asdict(settings)} | more))


@dataclass
class Cluster:
    """The machines that answer, and what is asked of each kind."""

    settings: BenchmarkSettings
    machines: list[Far]
    plans: list[Plan] = field(default_factory=list)

    def look(self) -> None:
        """Raises ValueError where no machine can do what is asked."""
        models, refused = entries(self.settings), []
        asked = [(one, one.ask("look", self.settings)) for one in self.machines]
        for one, reference in asked:
            try:
                self._take(one, ray.get(reference, timeout=LOOKING_S), models)
            except (GetTimeoutError, RayActorError, ValueError) as error:
                refused.append(f"{one.name}: {first_line(error)}")
        for reason in refused:
            log.info("left out: %s", reason)
        if not self.plans:
            raise ValueError(
                f"ray=True: no machine of the cluster can measure this; {'; '.join(refused) or 'none is there'}"
            )

    def _take(self, one: Far, answer: str, models: Sequence[Entry]) -> None:
        seen = look_of(_answer(answer))
        same = [plan for plan in self.plans if plan.machine == seen.machine]
        if not same:
            self.plans.append(plan_of(self.settings, models, seen))
        one.plan = (same or self.plans)[-1]
        log.info("%s is %s", one.name, seen.machine.kind)

    def fill(self, table: SpeedTable, track: Track, worth: Callable[[Plan], Worth]) -> None:
        """Adds what is missing; a model whose machine is lost goes to another one of its kind."""
        waiting = {id(plan): deque(missing(plan, table)) for plan in self.plans}
        total = sum(map(len, waiting.values()))
        for _ in track(self._finished(table, waiting, worth), total):
            pass

    def _finished(
        self, table: SpeedTable, waiting: dict[int, deque[list[Job]]], worth: Callable[[Plan], Worth]
    ) -> Iterator[list[Job]]:
        """Each model's jobs, once they are in the table."""
        running: dict[Any, tuple[Far, list[Job]]] = {}
        free = [one for one in self.machines if one.plan is not None]
        hopeful = {id(plan): worth(plan) for plan in self.plans}
        while True:
            yield from self._start(free, running, waiting, hopeful)
            if not running:
                break
            (done, *_), _ = ray.wait(list(running))
            one, own = running.pop(done)
            try:
                found = _rows(ray.get(done), own, one.name)
            except RayActorError as error:
                log.info("%s is lost (%s): its models go to others of its kind", one.name, first_line(error))
                waiting[id(one.plan)].appendleft(own)
                continue
            for row in found:
                table.add(row)
            free.append(one)
            yield own
        if lost := sum(map(len, waiting.values())):
            log.info("%d models are left: no machine of their kind answers; the same command goes on", lost)

    def _start(
        self,
        free: list[Far],
        running: dict[Any, tuple[Far, list[Job]]],
        waiting: dict[int, deque[list[Job]]],
        hopeful: dict[int, Worth],
    ) -> Iterator[list[Job]]:
        """Gives every free machine a model; yields those that are not worth measuring."""
        for one in list(free):
            queue = waiting[id(one.plan)]
            while queue:
                own = queue.popleft()
                asked = [job for job in own if hopeful[id(one.plan)](job)]
                if asked:
                    free.remove(one)
                    running[one.ask("rows", self.settings, jobs=[asdict(job) for job in asked])] = one, asked
                    log.info("%s measures %s", one.name, own[0].model)
                    break
                yield own


def _rows(answer: str, own: Sequence[Job], name: str) -> list[Row]:
    if not answer:
        return [as_row(job, Failure(f"the process that measured on {name} ended")) for job in own]
    return [Row(**facts) for facts in _answer(answer)]


def _answer(text: str) -> Any:
    """Raises ValueError for what the machine refused."""
    if not text:
        raise ValueError("its process ended before it could tell what it is: are the requirements installed there?")
    found = json.loads(text)
    if "error" in found:
        raise ValueError(found["error"])
    return found["answer"]


@contextmanager
def cluster(settings: BenchmarkSettings) -> Iterator[Cluster]:
    """The one at RAY_ADDRESS, else Ray on this machine alone; what was started here ends here."""
    with connected(os.environ.get("RAY_ADDRESS"), "RAY_ADDRESS", sends_code=True):
        found = [_far(node) for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
        try:
            made = Cluster(settings, found)
            made.look()
            yield made
        finally:
            for one in found:
                ray.kill(one.actor)


def _far(node: dict[str, Any]) -> Far:
    """The whole machine, so that nothing else of Ray's runs beside a measurement."""
    there = NodeAffinitySchedulingStrategy(node_id=node["NodeID"], soft=False)
    has = node["Resources"]
    whole: dict[str, Any] = {"num_cpus": has["CPU"], "num_gpus": has.get("GPU", 0), "scheduling_strategy": there}
    remote: Any = ray.remote(**whole)
    name = f"{node['NodeManagerHostname']} ({node['NodeID'][:6]})"
    return Far(name, remote(Worker).remote())
