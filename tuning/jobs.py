"""What is to be measured: each model with each engine, precision and batch size."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Literal

from serving.engines.engine import Maker
from tuning.benchmark_settings import BenchmarkSettings
from tuning.catalogue import Entry
from tuning.speed_table import Key
from utils.build import ConfigurationError, build, check_own
from utils.configuration import option
from utils.overrides import options
from utils.signature import nearest

Mode = Literal["inference", "training"]


@dataclass(frozen=True)
class Job:
    """engine: a node of its group; None for a training step. folder: where the model's converted engines lie."""

    model: str
    height: int
    width: int
    batch: int
    label: str
    precision: str
    engine: dict[str, Any] | None
    versions: str
    threads: int
    device: str
    machine: str
    folder: str = ""

    @property
    def mode(self) -> Mode:
        return "training" if self.engine is None else "inference"

    @property
    def size(self) -> str:
        return f"{self.height}x{self.width}"

    @property
    def key(self) -> Key:
        return Key(
            self.model, self.label, self.precision, self.batch, self.size, self.mode, self.versions, self.machine
        )


@dataclass(frozen=True)
class Machine:
    """kind: of machine, threads included. versions: of what every measurement uses."""

    kind: str
    versions: str


@dataclass(frozen=True)
class Chosen:
    """An engine at a precision. node: null for PyTorch's training step."""

    label: str
    precision: str
    node: dict[str, Any] | None
    versions: str


def engines(settings: BenchmarkSettings, threads: int, common: str) -> tuple[list[Chosen], list[str]]:
    """Those that can be had here, and of each other one why it cannot. Raises ValueError where none is left.

    common: versions of what all of them use.
    """
    found: list[Chosen] = []
    refused: list[str] = []
    for name in settings.engine_names:
        for precision in settings.precisions:
            node = _node(name, precision, settings.device, threads)
            if node is None:
                refused.append(f"{name} has no {precision}")
            elif refusal := (maker := _maker(node)).refusal():
                refused.append(f"{maker.label} {refusal}")
            else:
                found.append(Chosen(name, precision, node, _versions(maker, common)))
    if not found:
        raise ValueError(f"benchmark.engines={settings.engine_names}: none can be had here: {'; '.join(refused)}")
    steps = [Chosen("eager", one, None, common) for one in settings.precisions if settings.train and one != "int8"]
    return found + steps, refused


def _node(name: str, precision: str, device: str, threads: int) -> dict[str, Any] | None:
    """An option of the group engine at this precision; None where it has no such."""
    if name not in (known := [one for one in options("engine") if one != "auto"]):
        raise ValueError(f"benchmark.engines={name}: there is no such engine; {nearest(name, known)}")
    node = option("engine", name)
    node |= {key: value for key, value in (("device", device), ("threads", threads)) if key in node}
    if "type" not in node:
        return node if precision == "fp32" else None
    node |= {"type": precision} | ({"channels_last": precision != "fp32"} if "channels_last" in node else {})
    try:
        check_own({"engine": node})
    except ConfigurationError:
        return None
    return node


def _maker(node: dict[str, Any]) -> Maker:
    made: Maker = build(node)
    return made


def _versions(maker: Maker, common: str) -> str:
    further = [f"{package} {version(package)}" for package in maker.packages if package != "torch"]
    return ", ".join([common, *further])


def jobs(
    entries: Sequence[Entry], chosen: Sequence[Chosen], settings: BenchmarkSettings, threads: int, machine: str
) -> Iterator[list[Job]]:
    """Those of a model together, in the order of the models."""
    for entry in entries:
        yield [
            Job(entry.model, entry.height, entry.width, batch, one.label, one.precision, one.node, one.versions,
                threads, settings.device, machine)
            for one in chosen
            for batch in settings.batches
        ]  # fmt: skip
