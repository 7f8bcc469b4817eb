"""One override of a command line: spelt as Hydra's grammar takes it, and what a sweep in it holds."""

import itertools
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hydra import initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, RangeSweep, Sweep
from hydra.errors import HydraException

from utils.build import ROOT, ConfigurationError
from utils.optimizer_names import refuse_unknown

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


def sweep(text: str) -> dict[str, Any]:
    """An override with a sweep in Hydra's words as plain values: `key`, `word`, and what the word holds.

    choice: `values`, each as an override spells it; range: `start`, `stop`, `step`; interval: `start`, `end`; these two
    also `tags`. Raises ConfigurationError for what is no sweep, and for words that only a command line can answer.
    """
    try:
        override = OverridesParser.create().parse_override(text)
    except HydraException as error:
        way_out = "write it as KEY=choice(a,b), KEY=range(1,9) or KEY=interval(0.1, 1)"
        raise ConfigurationError(f"{text}: {str(error).splitlines()[0]}; {way_out}") from error
    value, found = override.value(), {"key": override.key_or_group}
    if override.is_add() or override.is_delete() or override.is_force_add():
        raise ConfigurationError(f"{text}: only keys that are there can be searched; leave '+' and '~' out")
    if isinstance(value, ChoiceSweep) and not any(isinstance(one, Sweep) for one in value.list):
        return found | {"word": "choice", "values": [str(one) for one in override.sweep_string_iterator()]}
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
