"""Which models there are and what each will cost, so that the cheapest come first."""

import csv
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

from tuning.benchmark_settings import BenchmarkSettings
from tuning.isolation import Allowance, Failure, isolated
from utils.signature import nearest

log = logging.getLogger(__name__)

# Written by `python -m tuning.catalogue_file`; of models that it lacks the costs are counted when they are asked for.
FILE = Path(__file__).with_name("catalogue.csv")
COUNTING = Allowance(seconds=3600, memory_mib=8192)
SMALL_SIZE = 224
MILLION = 1e6
NUMBERS = ("height", "width", "parameters", "macs")  # columns of the file beside the model
FEW = 20  # models


@dataclass(frozen=True)
class Entry:
    """A model at an image size in pixels. parameters, macs: None where they could not be counted."""

    model: str
    height: int
    width: int
    parameters: int | None = None
    macs: int | None = None


class AllTooLarge(ValueError):
    """benchmark.max_params leaves none of so many models. millions: of parameters, that the smallest one has."""

    def __init__(self, allowed: float, found: Sequence[Entry]) -> None:
        least, self.smallest = min((entry.parameters or 0, entry.model) for entry in found)
        self.count, self.millions = len(found), least / MILLION
        super().__init__(
            f"benchmark.max_params={allowed:g} leaves none of {self.count:,} models: "
            f"the smallest, {self.smallest}, has {self.millions:.3g} million"
        )


def entries(settings: BenchmarkSettings) -> list[Entry]:
    """The models that are asked for, the cheapest first. Raises AllTooLarge where none is left.

    Many whose costs are not known come last, since counting them all would take minutes; a few are counted.
    """
    found = [entry_of(name, settings.image_size) for name in _named(settings)]
    unknown = [entry for entry in found if entry.model not in known()]
    if len(unknown) > FEW and FILE.is_file():
        log.info("%d models come last: `python -m tuning.catalogue_file` counts what they cost", len(unknown))
        unknown = []
    counted = costs(unknown)
    found = sorted((counted.get(entry.model, entry) for entry in found), key=_cost)
    if settings.max_params is None:
        return found
    small = [entry for entry in found if (entry.parameters or 0) <= settings.max_params * MILLION]
    if not small:
        raise AllTooLarge(settings.max_params, found)
    return small


def _cost(entry: Entry) -> tuple[float, str]:
    return (float("inf") if entry.macs is None else entry.macs), entry.model


def _named(settings: BenchmarkSettings) -> list[str]:
    """By family and by patterns."""
    import timm

    names = timm.list_models() if settings.family is None else _of_family(settings.family)
    if not settings.patterns:
        return names
    for pattern in settings.patterns:
        if not any(fnmatch(name, pattern) for name in names):
            raise ValueError(f"benchmark.models={pattern}: timm has none of that name; {nearest(pattern, names)}")
    return [name for name in names if any(fnmatch(name, pattern) for pattern in settings.patterns)]


def _of_family(family: str) -> list[str]:
    """The models of timm's module of that name, otherwise those whose names begin so."""
    import timm

    modules = timm.list_modules()
    names = timm.list_models(module=family) if family in modules else timm.list_models(f"{family}*")
    if not names:
        raise ValueError(f"benchmark.family={family}: timm has no such family; {nearest(family, modules)}")
    return list(names)


def entry_of(name: str, image_size: int | None) -> Entry:
    """A model at a size in pixels, or at that of its published accuracy; with its costs where they are known."""
    from timm.models import get_pretrained_cfg

    cfg = get_pretrained_cfg(name)
    own = (cfg.test_input_size or cfg.input_size)[1:] if cfg else (SMALL_SIZE, SMALL_SIZE)
    height, width = (image_size, image_size) if image_size else own
    own_cost = known().get(name)
    if own_cost is None or own_cost.macs is None:
        return Entry(name, height, width)
    macs = own_cost.macs * height * width // (own_cost.height * own_cost.width)
    return replace(own_cost, height=height, width=width, macs=macs)


@cache
def known() -> dict[str, Entry]:
    """What the file has; without numbers for those that cannot be counted."""
    if not FILE.is_file():
        return {}
    with FILE.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    return {row["model"]: _read(row) for row in rows}


def _read(row: dict[str, str]) -> Entry:
    cost = [int(row[key]) if row[key] else None for key in ("parameters", "macs")]
    return Entry(row["model"], int(row["height"]), int(row["width"]), *cost)


def costs(unknown: Sequence[Entry]) -> dict[str, Entry]:
    """Counted; those that cannot be stay as they are."""
    if len(unknown) > FEW:
        log.info("counting what %d models cost, so that the cheapest come first", len(unknown))
    answers = isolated(count, unknown, COUNTING)
    return {entry.model: entry if isinstance(answer, Failure) else answer for entry, answer in answers}


def count(entry: Entry) -> Entry:
    """With its costs."""
    from tuning.counting import counted

    found = counted(entry.model, entry.height, entry.width)
    return replace(entry, parameters=found.parameters, macs=found.macs)
