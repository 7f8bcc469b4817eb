"""One override of a command line: spelt as Hydra's grammar takes it, and what a sweep in it holds."""

import itertools
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hydra import initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser, create_functions
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, RangeSweep, Sweep
from hydra.errors import HydraException

from utils.build import ROOT, ConfigurationError
from utils.optimizer_names import refuse_unknown
from utils.signature import nearest

CONFIGURATION = ROOT / "configuration"

# Keys whose values are paths, globs or URLs: quoted and expanded before Hydra's grammar sees them.
PATH_KEYS = {"root", "file", "source", "output", "run", "reproduce", "logs", "cache_dir", "checkpoint", "data",
             "server", "published", "compare", "teacher", "resume_full_training", "resume_weights_training",
             "pretrained", "database", "certificate", "private_key", "token_file", "arguments",
             "worker_arguments"}  # fmt: skip
NO_PATHS = {"active.compare"}  # though their last part is called like one

# Keys whose values are text, or lists of it, whatever Hydra's grammar would take them for: a run may be called 42.
TEXT_KEYS = {"delimiter", "separator", "run_name", "experiment_name", "salt", "class_names", "path_column",
             "label_column", "split_column", "group_column", "max_time", "max_training_time"}  # fmt: skip
ALONE = ("-m", "--multirun", "-r", "--run", "--resolve", "-h", "--help")  # flags of Hydra's that take no value
LISTED = re.compile(r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|[^][,\s]+(?: +[^][,\s]+)*""")  # a word, quoted or not
NAMED_BY_TIMM = {"models": "architecture", "optimizers": "name"}  # a name without a yaml of its own goes to timm.yaml
TIMM_NAME = re.compile(r"[A-Za-z]\w*(\.\w+)?")  # the tag says which weights: resnet18.a1_in1k
QUOTED = re.compile(r"""\\.|'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*\"""")  # is whole, whatever is in it
CALLED = re.compile(r"while evaluating '(?P<call>(?P<word>\w+)\(.*\))': (?P<why>.*)")
EXTRANEOUS = re.compile(r"extraneous input '(.+?)' expecting")
EXCERPT = 24  # signs of a line that show where it breaks
CLOSED_BY = {"(": ")", "[": "]", "{": "}"}
OF_THE_JOB = re.compile(r"\$\{(hydra|now):[^{}]*\}")


def flags_last(arguments: Sequence[str]) -> list[str]:
    """Overrides, then Hydra's flags with their values: between overrides Hydra takes none."""
    before = ["", *arguments]
    of_hydra = [one.startswith("-") or _is_of_flag(one, flag) for one, flag in zip(arguments, before, strict=False)]
    return [arguments[place] for place in sorted(range(len(arguments)), key=of_hydra.__getitem__)]


def _is_of_flag(word: str, before: str) -> bool:
    """Of `--cfg job` the second."""
    return before.startswith("-") and before not in ALONE and "=" not in word and not word.startswith("~")


def prepared(argument: str, multirun: bool = False) -> list[str]:
    """One override as Hydra's grammar takes it: paths and texts quoted, timm's names spelt out.

    Raises ConfigurationError for a group of nothing, which Hydra refuses without its name.
    """
    key, equals, value = argument.partition("=")
    if not equals or key.startswith("-"):
        return [argument]
    if (quote := _quote_of(key)) is not None:
        return [f"{key}={value if multirun and _is_sweep(argument) else quote(value)}"]
    if key == "optimizers.option" and value not in ("auto", "null"):
        if TIMM_NAME.fullmatch(value):
            refuse_unknown(key, value, ["auto", *optimizers()])
        key = "optimizers"
    if value == "null" and (CONFIGURATION / key).is_dir():
        raise ConfigurationError(
            f"{key}=null: leave it out, or give {' or '.join(options(key))}; "
            f"{key.replace('/', '.')}.KEY=null switches one part of it off"
        )
    if key in NAMED_BY_TIMM and _is_of_timm(key, value, multirun):
        return [f"{key}=timm", f"{key}.{NAMED_BY_TIMM[key]}={value}"]
    return [f"{key}={value}"]


def _is_of_timm(group: str, value: str, multirun: bool) -> bool:
    """Whether a value is a name for timm, or in a multirun several; raises ConfigurationError for some of a sweep."""
    names = [name.strip() for name in value.split(",")] if multirun else [value]
    of_timm = [name for name in names if TIMM_NAME.fullmatch(name) and name not in options(group)]
    if of_timm and len(of_timm) < len(names):
        raise ConfigurationError(
            f"{group}={value}: {of_timm[0]} is no option of {group}, and names of timm are swept by themselves: give "
            f"options alone ({', '.join(options(group))}) or names of timm alone"
        )
    return bool(of_timm)


def points(line: Sequence[str]) -> list[list[str]]:
    """The command lines that a sweep stands for, in the order in which Hydra runs them; its flags are left out.

    What only a running job can tell (`${hydra:job.num}`, `${now:%H}`) is the point's number.
    """
    given = list(itertools.takewhile(lambda text: not text.startswith("-"), flags_last(line)))
    with initialize_config_dir(str(CONFIGURATION), version_base="1.3"):
        parsed = OverridesParser.create(GlobalHydra.instance().config_loader()).parse_overrides(given)
        found = [point for batch in BasicSweeper.split_arguments(parsed, None) for point in batch]
    return [[OF_THE_JOB.sub(str(number), text) for text in point] for number, point in enumerate(found)]


def _quote_of(key: str) -> Callable[[str], str] | None:
    """What makes a value of this key one that the grammar takes; None where the value is left to the grammar."""
    name = key.rpartition(".")[2]
    if name in PATH_KEYS and key not in NO_PATHS:
        return _quoted_path
    return _quoted_text if name in TEXT_KEYS else None


def _quoted_path(value: str) -> str:
    if value in ("true", "false", "True", "False", "auto", "latest"):
        return value
    return _quoted(str(Path(value).expanduser()) if value.startswith("~") else value)


def _quoted_text(value: str) -> str:
    if value.startswith("[") and value.endswith("]"):
        return LISTED.sub(lambda word: _quoted(word[0]), value)
    return _quoted(value)


def _quoted(value: str) -> str:
    if value in ("null", "") or value[0] in "'\"":
        return value
    return "'" + value.replace("'", "\\'") + "'"


def _is_sweep(argument: str) -> bool:
    try:
        return OverridesParser.create().parse_override(argument).is_sweep_override()
    except HydraException:
        return False


def unreadable(text: str) -> str:
    """Why Hydra's grammar takes an override for none, in plain words; empty where it takes it."""
    try:
        OverridesParser.create().parse_override(text)
    except HydraException as error:
        return f"{text}: {_unpaired(text) or _of_a_word(error) or _out_of_place(text, error)}"
    return ""


def _unpaired(text: str) -> str:
    """A quote or bracket without its other half."""
    alone = QUOTED.sub(lambda found: " " * len(found[0]), text)
    opened: list[int] = []
    for place, sign in enumerate(alone):
        if sign in "'\"":
            return f"a {sign} has no second one: {_excerpt(text, place)}"
        if sign in CLOSED_BY:
            opened.append(place)
        elif sign in CLOSED_BY.values():
            if not opened:
                return f"a {sign} closes nothing: {text[max(0, place - EXCERPT) : place + 1]}"
            if CLOSED_BY[alone[opened[-1]]] != sign:
                break
            opened.pop()
    return f"a {text[opened[-1]]} is not closed: {_excerpt(text, opened[-1])}" if opened else ""


def _excerpt(text: str, place: int) -> str:
    return text[place : place + EXCERPT] + "…" * (len(text) > place + EXCERPT)


def _of_a_word(error: HydraException) -> str:
    """What is wrong with choice(…) and its like."""
    found = CALLED.search(str(error))
    if found is None:
        return ""
    if found["why"].startswith("Unknown function"):
        return f"there is no word {found['word']} ({nearest(found['word'], list(create_functions().functions))})"
    if "NoneType" in found["why"]:
        return f"{found['word']} takes no null"
    if "mismatch type" in found["why"] or str(error).startswith("AssertionError"):
        return f"{found['call']} is not what {found['word']} takes"
    return f"{found['call']}: {found['why']}"


def _out_of_place(text: str, error: HydraException) -> str:
    """The first sign that cannot stand where it does."""
    token = getattr(error.__cause__, "offendingToken", None)
    place = getattr(error.__cause__, "startIndex", None) if token is None else token.start
    if place is not None:
        told = _excerpt(text, place)
        return f"it cannot be read from here on: {told}" if told else "something is missing at its end"
    found = EXTRANEOUS.match(str(error))
    return f"a {found[1]} is out of place" if found else str(error)


def sweep(text: str) -> dict[str, Any]:
    """An override with a sweep in Hydra's words as plain values: `key`, `word`, and what the word holds.

    choice: `values`, each as an override spells it; range: `start`, `stop`, `step`; interval: `start`, `end`; each has
    `tags`. Raises ConfigurationError for what is no sweep, and for words that only a command line can answer.
    """
    way_out = "write it as KEY=choice(a,b), KEY=a,null, KEY=range(1,9) or KEY=interval(0.1, 1)"
    if not text.partition("=")[0] or "=" not in text:
        raise ConfigurationError(f"{text}: {way_out}")
    if broken := unreadable(text):
        raise ConfigurationError(f"{broken}; {way_out}")
    override = OverridesParser.create().parse_override(text)
    value, found = override.value(), {"key": override.key_or_group}
    if override.is_add() or override.is_delete() or override.is_force_add():
        raise ConfigurationError(f"{text}: only keys that are there can be searched; leave '+' and '~' out")
    if isinstance(value, ChoiceSweep) and not any(isinstance(one, Sweep) for one in value.list):
        values = [str(one) for one in override.sweep_string_iterator()]
        return found | {"word": "choice", "tags": value.tags, "values": values}
    if isinstance(value, RangeSweep | IntervalSweep):
        word = "range" if isinstance(value, RangeSweep) else "interval"
        return found | {"word": word, **vars(value)}
    raise ConfigurationError(f"{text}: holds nothing to choose from; use choice(a,b), range(1,9) or interval(0.1, 1)")


def optimizers() -> list[str]:
    """Those that have a yaml of their own."""
    return [name for name in options("optimizers") if name != "default"]


def options(group: str) -> list[str]:
    """The names of a group's options."""
    return sorted(file.stem for file in (CONFIGURATION / group).glob("*.yaml"))
