"""A plain configuration in, built objects out: names and types are checked before anything is built."""

import functools
import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from utils.signature import Signature, problems, signature_in_source, signature_of_object

Settings = TypeVar("Settings")
ROOT = Path(__file__).parent.parent
OWN = ("models.", "datamodule.", "utils.", "active.", "tuning.", "serving.")
THIRD_PARTY = tuple(
    f"{name}."
    for name in ("torch", "torchvision", "torchmetrics", "timm", "pytorch_lightning", "segmentation_models_pytorch")
)
PIP_NAMES = {"mlflow": "-r requirements-trackers.txt", "wandb": "-r requirements-trackers.txt"}

# What optimizers.option=auto reads in an optimizer's node; and the values that a training measures before it builds.
OF_THE_CHOICE = ("option", "candidates", "num_epochs", "max_step_count", "max_training_time", "lr_range", "lr_falls",
                 "search")  # fmt: skip
MEASURED = ("optimizers.lr", "datamodule.batch_size")


class ConfigurationError(ValueError):
    """The user's configuration cannot work; the message names the key, the value and the way out."""


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
    return _built(node, handed_in)


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
