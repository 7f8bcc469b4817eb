"""What cannot train is refused by key, for train.py and for who queues its command lines; free of torch."""

from collections.abc import Sequence
from typing import Any

from models import checks
from tuning.auto_model_settings import of_model_search
from tuning.auto_settings import of_choice
from tuning.automatic_settings import of_automatic
from tuning.problem import Problem
from tuning.settings import TuneSettings
from utils.build import settings
from utils.configuration import composed

Config = dict[str, Any]


def check(config: Config) -> None:
    """Raises ValueError for what no training or search can do."""
    checks.check(config)
    settings(TuneSettings, config.get("tune", {}), "tune.")
    of_choice(config["optimizers"])
    of_automatic(config)
    of_model_search(config)


def check_line(line: Sequence[str], overrides: Sequence[str]) -> Config:
    """The configuration of a command line with further overrides; ValueError where it or its search cannot begin."""

    def compose(more: Sequence[str]) -> Config:
        config = composed(line, [*overrides, *more])
        check(config)
        return config

    config = compose([])
    if config["trainer"]["tune"]:
        Problem(config, {}, compose).check()
    return config
