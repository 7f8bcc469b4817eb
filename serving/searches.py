"""A job that searches: the `tune` of a dropped JSON becomes overrides, each text checked by a grammar of its own."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from serving.sweeps import BadSweep, Value, refuse_forbidden, refuse_option, refuse_value, spelt
from utils.build import ConfigurationError
from utils.configuration import option
from utils.overrides import CONFIGURATION, sweep
from utils.signature import nearest

MOST_LINES = 64
# No quote, bracket, backslash, '$' or line break in any of them: what stands between '"' ends where it should.
SPACE = r"[A-Za-z0-9_./]{1,200}=[A-Za-z0-9_.,+()\- ]{1,400}"
FIGURE = r"((train|val|test)/)?[A-Za-z0-9_]{1,64}"
CONSTRAINT = rf"{FIGURE} ?(<=|>=) ?[-+]?\d{{1,20}}(\.\d{{0,20}})?([eE][-+]?\d{{1,3}})?"
NAME, CHOSEN = r"[A-Za-z0-9_.]{1,200}", r"[A-Za-z0-9_.+\-]{1,64}"
CONDITION = rf"(?P<key>{NAME}) if (?P<other>{NAME})={CHOSEN}(, ?{CHOSEN}){{0,63}}"
PLAIN: dict[str, Value] = {"null": None, "true": True, "false": False}


def search(space: Sequence[str] | str, tuning: Mapping[str, Any]) -> list[str]:
    """The overrides of a job that searches: Hydra's sweep words over allowed keys, and values of `tune`.

    space: sweep words, or auto. tuning: further keys of `tune`; those that are lists on a command line may be here.
    """
    lines = ["trainer.tune=true", f"tune.space={_written('space', space)}"]
    keys = option("tune", "default")
    for key, value in tuning.items():
        if key not in keys or key == "space":
            raise BadSweep(f"tune.{key}: there is no such key; {nearest(key, list(keys))}")
        refuse_forbidden(f"tune.{key}", f"tune.{key}")
        lines.append(f"tune.{key}={_written(key, value)}")
    return lines


def _written(key: str, value: Any) -> str:
    """A value, or a list of texts, as Hydra's grammar reads it. Raises BadSweep for what this key does not take."""
    if not isinstance(value, list):
        refuse_value(f"tune.{key}", value)
        return spelt(value)
    if key not in LISTS:
        raise BadSweep(f"tune.{key}: this key takes one value; a list can be given for {', '.join(LISTS)}")
    if not 0 < len(value) <= MOST_LINES:
        otherwise = "auto" if key == "space" else "leave it out"
        raise BadSweep(f"tune.{key} has {len(value)} lines: use 1 to {MOST_LINES}, or {otherwise}")
    for text in value:
        if not isinstance(text, str):
            raise BadSweep(f"tune.{key}: each line is a text")
        LISTS[key](f"tune.{key}", text)
    return "[" + ",".join(f'"{text}"' for text in value) + "]"


def _refuse_space(name: str, text: str) -> None:
    if not re.fullmatch(SPACE, text):
        raise BadSweep(f"{name}: {text[:80]!r}: write such as optimizers.lr=tag(log, interval(1e-4, 1e-1))")
    try:
        found = sweep(text)
    except ConfigurationError as error:
        raise BadSweep(str(error)) from error
    key = str(found["key"])
    refuse_forbidden(key, key)
    values = [PLAIN.get(value, value) for value in found.get("values", ())]
    for value in values:
        refuse_value(key, value)
    if (CONFIGURATION / key).is_dir():
        refuse_option(key, values)


def _refuse_figure(name: str, text: str) -> None:
    if not re.fullmatch(FIGURE, text):
        raise BadSweep(f"{name}: {text[:80]!r} is no figure: write such as val/accuracy or latency_ms")


def _refuse_way(name: str, text: str) -> None:
    if text not in ("min", "max"):
        raise BadSweep(f"{name}: {text[:80]!r}: write min or max, one for each objective")


def _refuse_constraint(name: str, text: str) -> None:
    if not re.fullmatch(CONSTRAINT, text):
        raise BadSweep(f"{name}: {text[:80]!r}: write such as latency_ms<=5 or val/accuracy>=0.9")


def _refuse_condition(name: str, text: str) -> None:
    found = re.fullmatch(CONDITION, text)
    if found is None:
        raise BadSweep(f"{name}: {text[:80]!r}: write such as optimizers.momentum if optimizers=sgd,lamb")
    for key in (found["key"], found["other"]):
        refuse_forbidden(key, key)


Refuse = Callable[[str, str], None]
LISTS: dict[str, Refuse] = {  # keys of `tune` that are lists on a command line, and what refuses a bad line of each
    "space": _refuse_space,
    "auto": _refuse_space,
    "objective": _refuse_figure,
    "mode": _refuse_way,
    "constraints": _refuse_constraint,
    "when": _refuse_condition,
}
