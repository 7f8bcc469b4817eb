"""A configuration is refused by key where no training could run it; free of torch, so that a server can ask, too."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from datamodule.settings import DataSettings
from models.settings import RunSettings, TrainerSettings
from models.tester_settings import TesterSettings
from models.timm_names import refuse_unknown
from utils.build import MEASURED, check_own, settings

Config = dict[str, Any]

NAMES_OF_TIMM = {"models.backbones.build_timm": "architecture", "models.segmenters.build_segmenter": "encoder"}
CHOSEN_LATER = "auto"


def check(config: Config) -> None:
    """Raises ValueError that names the key and the value."""
    run_settings(config)
    settings(TrainerSettings, config["trainer"], "trainer.")
    settings(TesterSettings, config.get("tester", {}), "tester.")
    check_own(config)
    _check_network(config["models"])
    _check_data(config["datamodule"])


def run_settings(config: Config) -> RunSettings:
    """From the values that belong to no group."""
    return settings(RunSettings, _of(RunSettings, config))


def refuse_one_name(configs: Sequence[Config]) -> None:
    """Raises ValueError where several trainings of a sweep would lie in one run folder."""
    named = Counter((one.logs, one.experiment_name, one.run_name) for one in map(run_settings, configs) if one.run_name)
    for (_, _, name), count in named.items():
        if count > 1:
            raise ValueError(
                f"run_name={name} would be {count} trainings of this sweep: leave it out, or let it follow a value "
                "that is swept: 'run_name=s${seed}'"
            )


def _check_network(node: Config) -> None:
    """A network that timm does not have is refused before anything is read, and before it waits in a queue."""
    key = NAMES_OF_TIMM.get(node["_target_"])
    if key in node and node[key] != CHOSEN_LATER:
        refuse_unknown(f"models.{key}", node[key])


def _check_data(node: Config) -> None:
    """What every source shares, whose names and types are known to be right."""
    given = _of(DataSettings, node)
    DataSettings(**{k: v for k, v in given.items() if v != "auto" or f"datamodule.{k}" not in MEASURED})


def _of(kind: Any, values: Config) -> Config:
    """Those that a settings dataclass has."""
    names = {field.name for field in fields(kind)}
    return {key: value for key, value in values.items() if key in names}
