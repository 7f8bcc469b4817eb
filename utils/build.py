"""The one place beside the entry points that knows Hydra: command line in, checked configuration, built objects out."""

import copy
import functools
import hashlib
import importlib
import json
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, RangeSweep
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from utils.signature import Signature, nearest, problems, signature_in_source, signature_of_object

Settings = TypeVar("Settings")

ROOT = Path(__file__).parent.parent
CONFIGURATION = ROOT / "configuration"
OWN = ("models.", "datamodule.", "utils.", "active.", "tuning.", "serving.")
THIRD_PARTY = tuple(
    f"{name}."
    for name in ("torch", "torchvision", "torchmetrics", "timm", "pytorch_lightning", "segmentation_models_pytorch")
)
PIP_NAMES = {"mlflow": "-r requirements-trackers.txt", "wandb": "-r requirements-trackers.txt"}

# Keys whose values are paths, globs or URLs: quoted and expanded before Hydra's grammar sees them.
PATH_KEYS = {
    "root",
    "file",
    "source",
    "output",
    "run",
    "reproduce",
    "logs",
    "cache_dir",
    "checkpoint",
    "data",
    "server",
    "published",
}
PATH_KEYS |= {"compare", "teacher", "resume_full_training", "resume_weights_training", "pretrained", "database"}
PATH_KEYS |= {"certificate", "private_key", "token_file", "arguments", "worker_arguments"}

NO_PATHS = {"active.compare"}  # though their last part is called like one

# Keys whose values are text, or lists of it, whatever Hydra's grammar would take them for: a run may be called 42.
TEXT_KEYS = {"delimiter", "separator", "run_name", "experiment_name", "salt", "class_names", "path_column",
             "label_column", "split_column", "group_column", "max_time", "max_training_time"}  # fmt: skip
LISTED = re.compile(r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|[^][,\s]+(?: +[^][,\s]+)*""")  # a word, quoted or not

# What optimizers.option=auto reads in an optimizer's node; and the values that a training measures before it builds.
OF_THE_CHOICE = ("option", "candidates", "num_epochs", "max_step_count", "max_training_time", "lr_range", "lr_falls",
                 "search")  # fmt: skip
MEASURED = ("optimizers.lr", "datamodule.batch_size")

NAMED_BY_TIMM = {"models": "architecture", "optimizers": "name"}  # a name without a yaml of its own goes to timm.yaml
TIMM_NAME = re.compile(r"[A-Za-z]\w*(\.\w+)?")  # the tag says which weights: resnet18.a1_in1k


class ConfigurationError(ValueError):
    """The user's configuration cannot work; the message names the key, the value and the way out."""


def command(main: Callable[[], None], of_a_run: bool = False, interrupted: str = "interrupted") -> None:
    """Runs a `hydra.main` function on a prepared command line; a user's mistake ends in one clear message, status 2.

    of_a_run: values may belong to a stored configuration, whose keys the composed one need not have. interrupted: is
    said after Ctrl-C, where the function itself has not answered it; status 130.
    """
    multirun = "-m" in sys.argv or "--multirun" in sys.argv
    wants_trace = "HYDRA_FULL_ERROR" in os.environ
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra hands errors on instead of printing them itself
    if not multirun:
        JobReturn.return_value = JobReturn.return_value.getter(_returned)  # type: ignore[method-assign, attr-defined]
    try:
        sys.argv[1:] = [item for argument in sys.argv[1:] for item in prepared(argument, multirun)]
        if of_a_run:
            sys.argv[1:] = [_let_through(argument) for argument in sys.argv[1:]]
        main()
    except (HydraException, OmegaConfBaseException, ValueError, OSError, ArithmeticError) as error:
        if wants_trace:
            raise
        print(f"error: {explained(error)}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print(interrupted)
        sys.exit(128 + signal.SIGINT)


def _returned(job: JobReturn) -> Any:
    """What Hydra's own does, but for a repetition of the whole command line before each error."""
    if job.status is JobStatus.FAILED:
        raise job._return_value
    return job._return_value


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
        key = "optimizers"
    if value == "null" and (CONFIGURATION / key).is_dir():
        raise ConfigurationError(
            f"{key}=null: leave it out, or give {' or '.join(options(key))}; "
            f"{key.replace('/', '.')}.KEY=null switches one part of it off"
        )
    if key in NAMED_BY_TIMM and TIMM_NAME.fullmatch(value) and not (CONFIGURATION / key / f"{value}.yaml").exists():
        return [f"{key}=timm", f"{key}.{NAMED_BY_TIMM[key]}={value}"]
    return [f"{key}={value}"]


def _let_through(argument: str) -> str:
    """A value of any key is taken by Hydra; `overridden` then refuses those that the stored configuration lacks."""
    key, equals, _ = argument.partition("=")
    return f"++{argument}" if equals and "." in key and key[0].isalpha() and not key.startswith("hydra.") else argument


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


def explained(error: BaseException) -> str:
    """The message of an error, with the nearest right name where a key or an option was misspelt."""
    if isinstance(error, MissingConfigException) and "/" in (error.missing_cfg_file or ""):
        return no_such_option(*str(error.missing_cfg_file).rsplit("/", 1))
    lines = [
        line for line in str(error).splitlines() if line.strip() and not line.startswith(("See https", "To append"))
    ]
    text = "\n".join(lines)
    if isinstance(error, HydraException) and "Could not override '" in text:
        key = text.split("Could not override '")[1].split("'")[0]
        return no_such_key(key)
    if " appears more than once in the final defaults list" in text:
        return f"{text}: two options of this command line both bring it, such as models=auto and experiment=auto"
    return text


def no_such_key(key: str) -> str:
    """What to say of a key that this configuration lacks: what would bring it, or the nearest right one."""
    known = known_keys()
    if key in known:
        return f"{key}: there is no such key in this configuration; it comes with {' or '.join(known[key][:3])}"
    return f"{key}: there is no such key; {nearest(key, sorted(known))}"


def no_such_option(group: str, name: str) -> str:
    """What to say of an option that a group lacks: the nearest right one."""
    return f"{group}={name}: {group} has no such option; {nearest(name, options(group))}"


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
    if missing := sorted(OmegaConf.missing_keys(cfg)):
        raise ConfigurationError(f"{missing[0]} has no value: give {missing[0]}=… on the command line")
    return OmegaConf.to_container(cfg, resolve=True)


def composed(base: Sequence[str], overrides: Sequence[str] = ()) -> dict[str, Any]:
    """The plain configuration of a command line `base` with further overrides laid over it, as Hydra would give it.

    Compositions are kept for each choice of groups, so that one that differs in values alone takes a few ms. A value
    may only be given to a key that is there; a relative path counts from the working directory.
    """
    try:
        return _composed(base, overrides)
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigurationError(explained(error)) from error


def _composed(base: Sequence[str], overrides: Sequence[str]) -> dict[str, Any]:
    groups = tuple(text for text in overrides if (CONFIGURATION / text.partition("=")[0]).is_dir())
    config = copy.deepcopy(_skeleton((*base, *groups)))
    for override in OverridesParser.create().parse_overrides([text for text in overrides if text not in groups]):
        key = override.key_or_group
        if OmegaConf.select(config, key, default=config) is config:
            raise ConfigurationError(no_such_key(key))
        OmegaConf.update(config, key, override.value())
    return plain(config)


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


def sweep(text: str) -> dict[str, Any]:
    """An override with a sweep in Hydra's words as plain values: `key`, `word`, and what the word holds.

    choice: `values`, each as an override spells it; range: `start`, `stop`, `step`; interval: `start`, `end`; these two
    also `tags`. Raises ConfigurationError for what is no sweep, and for words that only a command line can answer.
    """
    try:
        override = OverridesParser.create().parse_override(text)
    except HydraException as error:
        raise ConfigurationError(f"{text}: {str(error).splitlines()[0]}") from error
    value, found = override.value(), {"key": override.key_or_group}
    if override.is_add() or override.is_delete() or override.is_force_add():
        raise ConfigurationError(f"{text}: only keys that are there can be searched; leave '+' and '~' out")
    if isinstance(value, ChoiceSweep):
        return found | {"word": "choice", "values": [str(one) for one in override.sweep_string_iterator()]}
    if isinstance(value, RangeSweep | IntervalSweep):
        word = "range" if isinstance(value, RangeSweep) else "interval"
        return found | {"word": word, **vars(value)}
    raise ConfigurationError(f"{text}: holds nothing to choose from; use choice(a,b), range(1,9) or interval(0.1, 1)")


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


def options(group: str) -> list[str]:
    """The names of a group's options."""
    return sorted(file.stem for file in (CONFIGURATION / group).glob("*.yaml"))


def flat_keys(node: Any, prefix: str = "") -> Iterator[str]:
    """Every dotted key of a nested dict, inner nodes too."""
    for key, value in node.items() if isinstance(node, dict) else ():
        yield f"{prefix}{key}"
        yield from flat_keys(value, f"{prefix}{key}.")


def digest(config: dict[str, Any]) -> str:
    """sha256 of a plain configuration, independent of the order of its keys."""
    return hashlib.sha256(json.dumps(config, sort_keys=True, default=str).encode()).hexdigest()


def targets(config: Any, prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every node with a `_target_`, with its dotted key."""
    if isinstance(config, dict):
        if "_target_" in config:
            yield prefix.rstrip("."), config
        for key, value in config.items():
            yield from targets(value, f"{prefix}{key}.")
    elif isinstance(config, list):
        for place, value in enumerate(config):
            yield from targets(value, f"{prefix}{place}.")


def check_own(config: dict[str, Any]) -> None:
    """Refuses wrong names and types of the project's own targets, read from their source: torch is not imported."""
    _refuse([line for key, node in targets(config) for line in _problems(key, node, own=True)])


def check_third_party(config: dict[str, Any]) -> None:
    """The same for targets of other packages, which have to be imported for it; `_partial_` ones included."""
    _refuse([line for key, node in targets(config) for line in _problems(key, node, own=False)])


def _refuse(found: list[str]) -> None:
    if found:
        raise ConfigurationError("\n".join(found))


def _problems(key: str, node: dict[str, Any], own: bool) -> list[str]:
    target = node["_target_"]
    _require_allowed(key, target)
    if target.startswith(OWN) != own:
        return []
    signature = signature_in_source(target) if own else signature_of_object(_imported(target))
    given = {
        name: value for name, value in _arguments(node).items() if value != "auto" or f"{key}.{name}" not in MEASURED
    }
    return [f"{key}.{line}" for line in problems(target, given, signature or Signature(open_ended=True))]


def _arguments(node: dict[str, Any]) -> dict[str, Any]:
    left_out = ("_target_", "_partial_", *(OF_THE_CHOICE if "option" in node else ()))
    return {name: value for name, value in node.items() if name not in left_out}


def _require_allowed(key: str, target: str) -> None:
    if not target.startswith(OWN + THIRD_PARTY):
        allowed = ", ".join(prefix.rstrip(".") for prefix in OWN + THIRD_PARTY)
        raise ConfigurationError(f"{key}._target_={target}: only targets of these packages are built: {allowed}")


def _imported(target: str) -> Any:
    module, _, name = target.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        package = (error.name or module).partition(".")[0]
        if target.startswith(OWN) and (ROOT / package).is_dir():
            raise ConfigurationError(f"{target}: there is no module {error.name}") from error
        install = PIP_NAMES.get(package, package)
        raise ConfigurationError(f"{target} needs {package}: pip install {install}") from error
    except AttributeError as error:
        raise ConfigurationError(f"{target}: {module} has no {name}") from error


def build(node: Any, **handed_in: Any) -> Any:
    """The object that a node describes; lists and dicts are built inside out, plain values stay.

    handed_in: arguments that only the caller knows (number of classes, a model); they win over the node's,
    and those that its target does not take are left out. A `_partial_: true` node answers a function.
    """
    config = OmegaConf.to_container(node, resolve=True) if isinstance(node, DictConfig) else node
    return _built(config, handed_in)


def _built(config: Any, handed_in: dict[str, Any]) -> Any:
    if isinstance(config, list):
        return [_built(item, {}) for item in config]
    if not isinstance(config, dict):
        return config
    arguments = {name: _built(value, {}) for name, value in _arguments(config).items()}
    if "_target_" not in config:
        return arguments | handed_in
    _require_allowed("", config["_target_"])
    function = _imported(config["_target_"])
    arguments |= _taken(function, handed_in)
    return functools.partial(function, **arguments) if config.get("_partial_") else function(**arguments)


def _taken(function: Callable[..., Any], handed_in: dict[str, Any]) -> dict[str, Any]:
    """What is handed in, less what the function does not take (a torchvision model knows no image height)."""
    signature = signature_of_object(function) if handed_in else Signature()
    return {name: value for name, value in handed_in.items() if signature.open_ended or name in signature.types}


def settings(kind: type[Settings], values: dict[str, Any], prefix: str = "") -> Settings:
    """A frozen settings dataclass from plain values; wrong names, types and combinations are refused by key."""
    _refuse([f"{prefix}{line}" for line in problems(kind.__name__, values, signature_of_object(kind))])
    return kind(**values)
