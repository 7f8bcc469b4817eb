"""A sweep: values and lists of values by name become one list of overrides a job, after everything is checked."""

import itertools
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

from models.checks import check as check_configuration
from utils.configuration import composed, known_keys
from utils.overrides import CONFIGURATION, NAMED_BY_TIMM, PATH_KEYS, options, prepared
from utils.signature import nearest

Scalar = str | int | float | bool | None
Value = Scalar | list[Scalar]
Check = Callable[[Sequence[str], Sequence[str]], object]  # of a command line with further overrides; raises ValueError

SHORT = {
    "MODEL": "models",
    "OPTIMIZER": "optimizers",
    "EPOCHS": "trainer.max_epochs",
    "BATCH_SIZE": "datamodule.batch_size",
    "LEARNING_RATE": "optimizers.lr",
    "WEIGHT_DECAY": "optimizers.weight_decay",
    "KERNEL_SIZE": "models.kernel_size",
    "NUM_FILTERS": "models.num_filters",
    "DENSE_WIDTH": "models.dense_width",
    "DROPOUT": "models.dropout",
    "SEED": "seed",
}
# What a job may set. Nothing here names a place, and no value can: see WORD.
ALLOWED = (
    "seed",
    "models", "models.*",
    "optimizers", "optimizers.*",
    "schedulers", "schedulers.*",
    "task", "task.*",
    "trainer.max_epochs", "trainer.max_steps", "trainer.max_time", "trainer.accumulate_grad_batches",
    "trainer.gradient_clip_val", "trainer.check_val_every_n_epoch", "trainer.speed", "trainer.threads",
    "datamodule.batch_size", "datamodule.eval_batch_size", "datamodule.height", "datamodule.width",
    "datamodule.channels", "datamodule.n_samples", "datamodule.val_share", "datamodule.test_share", "datamodule.salt",
    "datamodule.weighted_sampling", "datamodule.power", "datamodule.interpolation", "datamodule.crop",
    "datamodule.augment", "datamodule.augment.*",
    "callback", "callback.*",
    "tune.*",
)  # fmt: skip
NEVER = (
    "callback.store", "callback.store.*",  # a job's model goes where the job came from
    "tune.address", "tune.token",  # a cluster is the worker's
    "task.distill.logs",
)  # fmt: skip
# No slash but in figures (val/accuracy), no colon but in times, nothing that a grammar reads.
WORD = r"[A-Za-z0-9_.+-]{0,64}|\d+:\d+:\d+:\d+|(train|val|test)/[A-Za-z0-9_]{1,64}"
KEY = r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+){0,7}"
MOST_KEYS = 64


class BadSweep(ValueError):
    """A sweep that cannot be run, and why."""


@dataclass(frozen=True)
class Plan:
    """What a sweep asks for. choices: dotted key → its values. unknown: name → a half sentence that helps."""

    choices: dict[str, list[Value]]
    unknown: dict[str, str] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """The number of jobs; nothing is expanded for it."""
        return math.prod(len(values) for values in self.choices.values())

    def jobs(self) -> list[list[str]]:
        """One list of overrides a job; the last key changes fastest."""
        keys = list(self.choices)
        return [
            [f"{key}={spelt(value)}" for key, value in zip(keys, values, strict=True)]
            for values in itertools.product(*self.choices.values())
        ]


def check_training(line: Sequence[str], overrides: Sequence[str]) -> None:
    """Raises ValueError where a command line with further overrides could not train."""
    check_configuration(composed(line, overrides))


def plan(
    asked: Mapping[str, Any],
    declared: Sequence[str] = (),
    limit: int = 1000,
    strict: bool = False,
    check: Check = check_training,
) -> Plan:
    """What a sweep asks for, checked. Raises BadSweep.

    asked: short names or dotted keys to a value or a list of values; a value that is a list stands in a list of its
    own, and a group below a group may be called with a dot or a slash. declared: the workers' own overrides, which hold
    for every key that is not asked for. strict: an unknown key is refused, otherwise it is left out and reported.
    """
    if len(asked) > MOST_KEYS:
        raise BadSweep(f"{len(asked)} keys are given, at most {MOST_KEYS} can be")
    wanted, unknown = _known(asked)
    try:
        found = Plan(_within({key: _values(key, value) for key, value in wanted.items()}, limit), unknown)
        found = _composing(found, declared, check)
    except BadSweep as error:
        raise BadSweep(as_written(str(error), asked)) from error
    given = {SHORT.get(name, name): name for name in asked}
    unknown = {given.get(key, key): help_ for key, help_ in found.unknown.items()}
    if strict and unknown:
        raise BadSweep("; ".join(f"{key}: there is no such key, {help_}" for key, help_ in unknown.items()))
    return Plan(found.choices, unknown)


def as_written(why: str, asked: Iterable[str]) -> str:
    """The reason of a refusal with the names that a person gave in place of the keys that these stand for."""
    for name in asked:
        key = SHORT.get(name, name)
        for spelling in {key, f"{key}.{NAMED_BY_TIMM.get(key)}"}.difference(asked):  # models.architecture: timm's name
            why = re.sub(rf"(?<![\w./]){re.escape(spelling)}(?=[=:])", name, why)
    return why


def check_declared(declared: Sequence[str]) -> None:
    """Raises BadSweep where a worker's own overrides would be refused in a job, or fit no configuration."""
    for text in declared:
        key, equals, value = text.lstrip("+").partition("=")
        refuse_forbidden(text[:80], key)
        if not equals or "${" in value:
            raise BadSweep(f"{text[:80]}: a worker declares overrides as KEY=VALUE, without interpolation")
    try:
        check_training(declared, [])
    except ValueError as error:
        raise BadSweep(f"the worker's arguments: {error}") from error


def _known(asked: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """What can be asked for by its dotted key, and the rest; what is never allowed is refused."""
    wanted: dict[str, Any] = {}
    unknown: dict[str, str] = {}
    for name, value in asked.items():
        key = SHORT.get(name, name.replace("/", "."))
        if key in every_key():
            refuse_forbidden(name, key)
            key = _as_group(key)
            if key in wanted:
                raise BadSweep(f"{name} and another name of it are both given")
            wanted[key] = value
        else:
            _refuse_hostile(name)
            unknown[name] = nearest(name, [*SHORT, *(one for one in every_key() if allowed(one))])
    return wanted, unknown


def _as_group(key: str) -> str:
    """As Hydra calls it where it is one below another: datamodule/augment."""
    path = key.replace(".", "/")
    return path if (CONFIGURATION / path).is_dir() else key


@cache
def every_key() -> frozenset[str]:
    """Groups, and the dotted keys of all yamls."""
    groups = {folder.name for folder in CONFIGURATION.iterdir() if folder.is_dir()}
    return frozenset({*known_keys(), *groups})


def allowed(key: str) -> bool:
    """Whether a job may set a key; a group may be called with slashes, as Hydra does."""
    key = key.replace("/", ".")
    return any(fnmatchcase(key, one) for one in ALLOWED) and not any(fnmatchcase(key, one) for one in NEVER)


def _refuse_hostile(name: str) -> None:
    """Keys that would reach into Hydra or name code are an attempt, not a slip."""
    parts = name.lstrip("+~").split(".")
    if name[:1] in "+~" or parts[0] == "hydra" or any(part.startswith("_") and part.endswith("_") for part in parts):
        raise BadSweep(f"{name[:80]}: a job sets values of existing keys alone, no hydra.*, _target_, '+' or '~'")
    if not re.fullmatch(KEY, name):
        raise BadSweep(f"{name[:80]!r} is no key: write letters, digits, '_' and '.'")


def refuse_forbidden(name: str, key: str) -> None:
    """Raises BadSweep for a key that no job may set. name: as it was given."""
    _refuse_hostile(key.replace("/", "."))
    if not allowed(key):
        raise BadSweep(f"{name}: jobs must not set this key: where things lie is the worker's own business")


def _values(key: str, given: Any) -> list[Value]:
    values = given if isinstance(given, list) else [given]
    if not values:
        raise BadSweep(f"{key}: the list is empty")
    for value in values:
        refuse_value(key, value)
    return list({spelt(value): value for value in values}.values())


def refuse_value(key: str, value: Any) -> None:
    """Raises BadSweep for what is no value, or names a place, or is more than a word or a list of words."""
    if isinstance(value, list):
        for one in value:
            refuse_scalar(key, one)
    else:
        refuse_scalar(key, value)


def refuse_scalar(key: str, value: Any) -> None:
    """Raises BadSweep for what is no single value, or names a place, or is more than a word."""
    if isinstance(value, dict | list):
        raise BadSweep(f"{key}: a value is a number, a word, true, false or null, or a list of these in a list")
    if isinstance(value, str) and not re.fullmatch(WORD, value):
        raise BadSweep(f"{key}={value[:80]!r}: a word has up to 64 letters, digits, '_', '.', '+' and '-'")
    if isinstance(value, int | float) and not -1e18 < value < 1e18:
        raise BadSweep(f"{key}: the number is too large")
    if key.rpartition(".")[2] in PATH_KEYS and isinstance(value, str):
        raise BadSweep(f"{key}={value[:80]!r}: a job names no place; use true, false or null")


def _within(choices: dict[str, list[Value]], limit: int) -> dict[str, list[Value]]:
    size = Plan(choices).size
    if size > limit:
        counts = " x ".join(str(len(values)) for values in choices.values() if len(values) > 1)
        raise BadSweep(f"{counts} are {size:,} jobs, at most {limit:,} can be: take values out")
    return choices


def _composing(asked: Plan, declared: Sequence[str], check: Check) -> Plan:
    """Leaves out keys that the chosen groups do not have; refuses what no job can run, before there is one.

    Each choice of groups is composed alone and once with each value: a sum, not a product.
    """
    groups = {key: values for key, values in asked.choices.items() if (CONFIGURATION / key).is_dir()}
    for key, values in groups.items():
        refuse_option(key, values)
    bases = Plan(groups).jobs()
    try:
        for base in bases:
            check([*declared, *base], [])
    except ValueError as error:
        raise BadSweep(str(error)) from error
    unknown, kept = dict(asked.unknown), dict(groups)
    for key, values in asked.choices.items():
        if key in groups:
            continue
        try:
            for base in bases:
                for value in values:
                    check([*declared, *base], [f"{key}={spelt(value)}"])
            kept[key] = values
        except ValueError as error:
            if "there is no such key" not in str(error):
                raise BadSweep(f"{error}{_as_one_list(str(error), values)}") from error
            unknown[key] = "the chosen groups do not have it"
    return Plan({key: kept[key] for key in asked.choices if key in kept}, unknown)


def _as_one_list(why: str, values: Sequence[Value]) -> str:
    """The way out where a list was meant as one value."""
    if "a list (such as" not in why or any(isinstance(value, list) for value in values):
        return ""
    return f"; the values of a grid's list are tried one by one, a single list is {json.dumps([values])}"


def refuse_option(group: str, values: Sequence[Value]) -> None:
    """Raises BadSweep for what is no option of a group, or none that a job may choose."""
    for value in (one for given in values for one in (given if isinstance(given, list) else [given])):
        text = spelt(value)
        if f"{group}.{text}" in NEVER:
            raise BadSweep(f"{group}={text}: a job's model goes to the store that the job came from")
        if not isinstance(value, str):
            raise BadSweep(f"{group}={text}: this is the name of no option; {nearest(text, options(group))}")
        if text not in options(group) and prepared(f"{group}={text}") == [f"{group}={text}"]:
            raise BadSweep(f"{group}={text}: there is no such option; {nearest(text, options(group))}")


def spelt(value: Value) -> str:
    """As Hydra's grammar reads it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"'{value}'" if ":" in value or value == "" else value
    if isinstance(value, list):
        return f"[{','.join(map(spelt, value))}]"
    return repr(value)
