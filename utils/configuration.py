"""A command line in, a plain configuration out; with overrides.py all that knows Hydra beside the entry points."""

import copy
import functools
import hashlib
import json
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra._internal import utils as hydra_utils
from hydra._internal.hydra import Hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from utils.build import ConfigurationError
from utils.loading import whole
from utils.overrides import CONFIGURATION, PATH_KEYS, flags_last, options, points, prepared, unreadable
from utils.reader import end_with_the_reader
from utils.signature import nearest

COMMANDS = {"configs": "train.py", "test": "test.py", "predict": "predict.py", "benchmark": "benchmark.py",
            "serving": "python -m serving", "worker": "python -m serving.worker"}  # by their main files  # fmt: skip
SEVERAL = re.compile(r"(?:Ambiguous value for argument|Sweep parameters) '(?P<line>.+)'")  # without -m, Hydra says
ONE_AT_A_TIME = threading.Lock()  # Hydra composes in one state of the whole process; a server is asked by many threads


def command(
    main: Callable[[], None],
    of_a_run: bool = False,
    interrupted: str = "interrupted",
    check_sweep: Callable[[list[list[str]]], None] | None = None,
    serves: bool = False,
) -> None:
    """Runs a `hydra.main` function on a prepared command line; a user's mistake ends in one clear message, status 2.

    of_a_run: values may belong to a stored configuration, whose keys the composed one need not have. interrupted: is
    said after Ctrl-C, where the function itself has not answered it; status 130. check_sweep: gets the command lines
    that -m stands for before the first is run. serves: it goes on when nobody reads its standard output any more.
    """
    if not serves:
        end_with_the_reader()
    whole(functools.partial(_run, main, of_a_run, interrupted, check_sweep))


def _run(
    main: Callable[[], None],
    of_a_run: bool,
    interrupted: str,
    check_sweep: Callable[[list[list[str]]], None] | None,
) -> None:
    multirun = "-m" in sys.argv or "--multirun" in sys.argv
    wants_trace = "HYDRA_FULL_ERROR" in os.environ
    hydra_utils.is_under_debugger = lambda: True  # then Hydra hands errors on instead of printing them itself
    if not multirun:
        JobReturn.return_value = JobReturn.return_value.getter(_returned)  # type: ignore[method-assign, attr-defined]
    if not any("hydra.mode" in argument for argument in sys.argv):
        Hydra.get_mode = lambda *_, **__: None  # type: ignore[method-assign]  # it composes all once more to look for it
    try:
        sys.argv[1:] = [item for argument in flags_last(sys.argv[1:]) for item in prepared(argument, multirun)]
        if of_a_run:
            sys.argv[1:] = [_let_through(argument) for argument in sys.argv[1:]]
        if multirun and check_sweep is not None:
            check_sweep(points(sys.argv[1:]))
        main()
    except (HydraException, OmegaConfBaseException, ValueError, OSError, ArithmeticError) as error:
        if wants_trace:
            raise
        print(f"error: {explained(error)}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print(interrupted)
        raise


def _returned(job: JobReturn) -> Any:
    """What Hydra's own does, but for a repetition of the whole command line before each error."""
    if job.status is JobStatus.FAILED:
        raise job._return_value
    return job._return_value


def _let_through(argument: str) -> str:
    """A value of any key is taken by Hydra; `overridden` then refuses those that the stored configuration lacks."""
    key, equals, _ = argument.partition("=")
    return f"++{argument}" if equals and "." in key and key[0].isalpha() and not key.startswith("hydra.") else argument


def explained(error: BaseException) -> str:
    """The message of an error, with the nearest right name where a key or an option was misspelt."""
    if isinstance(error, MissingConfigException) and "/" in (error.missing_cfg_file or ""):
        return no_such_option(*str(error.missing_cfg_file).rsplit("/", 1))
    lines = [
        line for line in str(error).splitlines() if line.strip() and not line.startswith(("See https", "To append"))
    ]
    text = "\n".join(lines)
    if isinstance(error, OverrideParseException) and "missing EQUAL" in text:
        return f"{error.override}: what is set is written as KEY=VALUE; --help tells all keys"
    if isinstance(error, OverrideParseException):
        key, _, value = error.override.partition("=")
        spelt = '["TEXT","TEXT"]' if value.startswith("[") else '"TEXT"'
        return f"{unreadable(error.override)}; a text with such signs is quoted twice: '{key}={spelt}'"
    if several := SEVERAL.match(text):
        listed = f"{several['line'].partition('=')[0]}=[a,b]"
        return f"{several['line']}: several values are a sweep, which needs -m; a list is written as {listed}"
    if isinstance(error, HydraException) and "Could not override '" in text:
        key = text.split("Could not override '")[1].split("'")[0]
        return no_such_key(key)
    if " appears more than once in the final defaults list" in text:
        return f"{text}: two options of this command line both bring it, such as models=auto and experiment=auto"
    return text


def no_such_key(key: str) -> str:
    """What to say of a key that this configuration lacks: what would bring it, or the nearest right one."""
    known, commands = known_keys(), commands_with(key.partition(".")[0])
    where = f"in {' or '.join(commands)}" if commands and "train.py" not in commands else ""
    if key in known:
        group = key.partition(".")[0]
        elsewhere = f"{' ' if all(one.startswith(f'{group}=') for one in known[key]) else ', or is '}{where}"
        brought = " or ".join(known[key][:3]) + (elsewhere if where else "")
        return f"{key}: there is no such key in this configuration; it comes with {brought}"
    if where and "." not in key:
        return f"{key}: there is no such group in this configuration; it can be chosen {where}"
    return f"{key}: there is no such key; {nearest(key, sorted(known))}"


def no_such_option(group: str, name: str) -> str:
    """What to say of an option that a group lacks: the nearest right one."""
    return f"{group}={name}: {group} has no such option; {nearest(name, options(group))}"


def commands_with(group: str) -> list[str]:
    """Those whose main file has the group among its defaults."""
    mains = {name: OmegaConf.select(OmegaConf.load(CONFIGURATION / f"{name}.yaml"), "defaults") for name in COMMANDS}
    return [COMMANDS[name] for name, defaults in mains.items() if any(group in item for item in defaults)]


def known_keys() -> dict[str, list[str]]:
    """What brings each dotted key of the yamls below configuration/, groups as their prefix: `callback=freeze`.

    A key of a group that other yamls bring (`/limits: default` in their defaults) comes with these alone: the group is
    in no main file that could take `limits=default`.
    """
    found, guests = dict[str, list[str]](), dict[str, list[str]]()
    for file in sorted(CONFIGURATION.rglob("*.yaml")):
        folder = file.parent.relative_to(CONFIGURATION).as_posix()
        bringing = f"configuration/{file.name}" if folder == "." else f"{folder}={file.stem}"
        node = OmegaConf.load(file)
        for key in _keys(file, node):
            found.setdefault(key, []).append(bringing)
        for guest in _guests(node):
            for key in _keys(guest, OmegaConf.load(guest)):
                guests.setdefault(key, []).append(bringing)
    return found | guests


def _keys(file: Path, node: Any) -> Iterator[str]:
    """The dotted keys of a yaml where it puts them."""
    folder = file.parent.relative_to(CONFIGURATION).as_posix()
    is_global = folder == "." or file.read_text().startswith("# @package _global_")
    prefix = "" if is_global else folder.replace("/", ".") + "."
    return (prefix + key for key, _ in _leaves(node))


def _guests(node: Any) -> Iterator[Path]:
    """The yamls of other groups in a yaml's list of defaults."""
    for item in node.get("defaults", []):
        for group, name in item.items() if isinstance(item, DictConfig) else ():
            if str(group).startswith("/"):
                yield CONFIGURATION / str(group)[1:] / f"{name}.yaml"


def _leaves(node: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name in node if isinstance(node, DictConfig) else ():
        key = str(name)
        child = node._get_node(key)
        if key not in ("defaults", "_target_", "_partial_", "hydra"):
            yield f"{prefix}{key}", child
            yield from _leaves(child, f"{prefix}{key}.")


def plain(cfg: Any) -> Any:
    """A resolved plain container; a missing value (`???`) is refused by name."""
    try:
        return OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    except MissingMandatoryValue as error:
        missing = min(OmegaConf.missing_keys(cfg))
        raise ConfigurationError(f"{missing} has no value: give {missing}=… on the command line") from error


def composed(base: Sequence[str], overrides: Sequence[str] = ()) -> dict[str, Any]:
    """The plain configuration of a command line `base` with further overrides laid over it, as Hydra would give it.

    Compositions are kept for each choice of groups, so that one that differs in values alone takes a few ms. A value
    may only be given to a key that is there; a relative path counts from the working directory.
    """
    try:
        with ONE_AT_A_TIME:
            return _composed(base, overrides)
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigurationError(explained(error)) from error


def _composed(base: Sequence[str], overrides: Sequence[str]) -> dict[str, Any]:
    groups = tuple(text for text in overrides if (CONFIGURATION / text.partition("=")[0]).is_dir())
    config = copy.deepcopy(_skeleton((*base, *groups)))
    for override in OverridesParser.create().parse_overrides([text for text in overrides if text not in groups]):
        key = override.key_or_group
        there = OmegaConf.select(config, key, default=config)
        if there is config:
            raise ConfigurationError(no_such_key(key))
        if isinstance(there, DictConfig) and isinstance(override.value(), str | int | float):
            raise ConfigurationError(f"{override.input_line}: {key} has keys of its own; {_in_place_of_a_value(key)}")
        OmegaConf.update(config, key, override.value())
    return plain(config)


def _in_place_of_a_value(key: str) -> str:
    """What a node takes: an option where it is a group's, else nothing."""
    group = key.replace(".", "/")
    return f"write {group}=OPTION" if (CONFIGURATION / group).is_dir() else "null switches it off"


@functools.lru_cache(maxsize=64)
def _skeleton(overrides: tuple[str, ...]) -> DictConfig:
    """A composition with its interpolations; within a `hydra.main` function or without."""
    given = [part for text in overrides for part in prepared(text)]
    if GlobalHydra.instance().is_initialized():
        return compose("configs", overrides=given)
    with initialize_config_dir(str(CONFIGURATION), version_base="1.3"):
        return compose("configs", overrides=given)


def absolute(config: dict[str, Any]) -> dict[str, Any]:
    """A configuration whose relative paths count from nowhere but the root, for a process that starts elsewhere."""
    places = ("logs", "cache_dir")  # are made where they are missing; any other value may be a word
    return {
        key: absolute(value)
        if isinstance(value, dict)
        else str(Path(value).absolute())
        if isinstance(value, str) and (key in places or (key in PATH_KEYS and Path(value).exists()))
        else value
        for key, value in config.items()
    }


def overridden(stored: dict[str, Any], overrides: list[str], ignore: tuple[str, ...] = ()) -> dict[str, Any]:
    """A stored configuration with the command line's values laid over it; unknown keys and other groups are refused."""
    config = OmegaConf.create(stored)
    for override in OverridesParser.create().parse_overrides(overrides):
        key = override.key_or_group
        if key in ignore:
            continue
        known = list(flat_keys(stored))
        if key not in known or override.is_add() or override.is_delete():
            said = (override.input_line or key).lstrip("+")
            raise ConfigurationError(
                f"{said}: only values of the stored configuration can be changed; {nearest(key, known)}"
            )
        if isinstance(stored.get(key), dict):
            raise ConfigurationError(
                f"{override.input_line}: the stored run has its own {key}; start a new run to choose another"
            )
        OmegaConf.update(config, key, override.value())
    return plain(config)


def option(group: str, name: str) -> dict[str, Any]:
    """One option of a group as plain values, laid over the group's defaults; for yamls without interpolation."""
    node = plain(OmegaConf.load(CONFIGURATION / group / f"{name}.yaml"))
    bases = [base for base in node.pop("defaults", []) if base != "_self_"]
    return plain(OmegaConf.merge(*(option(group, base) for base in bases), node))


def flat_keys(node: Any, prefix: str = "") -> Iterator[str]:
    """Every dotted key of a nested dict, inner nodes too."""
    for key, value in node.items() if isinstance(node, dict) else ():
        yield f"{prefix}{key}"
        yield from flat_keys(value, f"{prefix}{key}.")


def digest(config: dict[str, Any]) -> str:
    """sha256 of a plain configuration, independent of the order of its keys."""
    return hashlib.sha256(json.dumps(config, sort_keys=True, default=str).encode()).hexdigest()
