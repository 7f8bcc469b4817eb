"""Settings of benchmark.py, and how its flags become overrides; free of torch."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePath

from utils.signature import nearest

PRECISIONS = ("fp32", "bf16", "fp16", "int8")
TRUTHS = ("find_specific_models", "off_tensorrt", "train", "ray")
LISTS = ("engines", "precision", "batch_size")
VALUES = {"specific_model_family": "family", "file_location": "file", "image_size": "image_size",
          "max_params": "max_params", "time_limit": "time_limit"}  # fmt: skip
OF_HYDRA = ("help", "hydra-help", "version", "cfg", "resolve", "package", "run", "multirun", "shell-completion",
            "config-path", "config-name", "config-dir", "experimental-rerun", "info")  # fmt: skip


@dataclass(frozen=True)
class BenchmarkSettings:
    """What configuration/benchmark/default.yaml sets; the comments there say what each key does."""

    models: str | list[str] | None = None
    find_specific_models: bool = False
    family: str | None = None
    engines: str | list[str] = field(default_factory=lambda: ["eager", "tensorrt"])
    off_tensorrt: bool = False
    precision: str | list[str] = "fp32"
    batch_size: int | list[int] = 1
    image_size: int | None = None
    train: bool = False
    max_params: float | None = None
    time_limit: float = 120.0
    memory_limit: float | None = None
    threads: int | None = None
    device: str = "auto"
    file: str = "results/all_models.csv"
    published: str | None = "auto"
    retry: bool = False
    ray: bool = False

    def __post_init__(self) -> None:
        if self.find_specific_models and self.family is None:
            raise ValueError(
                "--find-specific-models needs to know which: add --specific-model-family resnet, "
                "or benchmark.family=resnet"
            )
        for precision in self.precisions:
            if precision not in PRECISIONS:
                raise ValueError(f"benchmark.precision={precision}: {nearest(precision, PRECISIONS)}")
        for key in ("max_params", "time_limit", "memory_limit", "threads", "image_size"):
            if (value := getattr(self, key)) is not None and value <= 0:
                raise ValueError(f"benchmark.{key}={value}: use a number above 0")
        if min(self.batches, default=0) < 1:
            raise ValueError(f"benchmark.batch_size={self.batch_size}: use 1 or more images")
        if not self.engine_names:
            raise ValueError("benchmark.engines=[] leaves nothing to measure: name at least one, such as eager")
        if PurePath(self.file).suffix != ".csv":
            raise ValueError(f"benchmark.file={self.file}: its name must end in .csv")

    @property
    def patterns(self) -> list[str]:
        return _listed(self.models) if self.models is not None else []

    @property
    def engine_names(self) -> list[str]:
        named = dict.fromkeys(_listed(self.engines))
        return [name for name in named if not (self.off_tensorrt and name == "tensorrt")]

    @property
    def precisions(self) -> list[str]:
        return list(dict.fromkeys(_listed(self.precision)))

    @property
    def batches(self) -> list[int]:
        return sorted({self.batch_size} if isinstance(self.batch_size, int) else set(self.batch_size))


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def as_overrides(arguments: Sequence[str]) -> list[str]:
    """A command line whose flags are overrides; overrides and Hydra's own flags stay as they are.

    Raises ValueError for a flag that neither knows.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    for name in TRUTHS:
        parser.add_argument(_flag(name), action="store_true")
    for name in (*LISTS, *VALUES):
        parser.add_argument(_flag(name), metavar="VALUE")
    try:
        known, rest = parser.parse_known_args(list(arguments))
    except argparse.ArgumentError as error:
        raise ValueError(f"{error.argument_name}: {error.message}; see python benchmark.py --help") from error
    _refuse_unknown(rest)
    truths = [f"benchmark.{name}=True" for name in TRUTHS if getattr(known, name)]
    lists = [f"benchmark.{name}=[{given}]" for name in LISTS if (given := getattr(known, name)) is not None]
    values = [f"benchmark.{key}={given}" for name, key in VALUES.items() if (given := getattr(known, name)) is not None]
    return [*truths, *lists, *values, *(_in_full(argument) for argument in rest)]


def _in_full(argument: str) -> str:
    """`ray=True` is short, as it is for predict.py."""
    return f"benchmark.{argument}" if argument.startswith("ray=") else argument


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _refuse_unknown(rest: Sequence[str]) -> None:
    own = [_flag(name) for name in (*TRUTHS, *LISTS, *VALUES)]
    for argument in rest:
        name = argument.removeprefix("--").partition("=")[0]
        if argument.startswith("--") and name not in OF_HYDRA:
            raise ValueError(f"{argument}: there is no such flag; {nearest(f'--{name}', own)}")
