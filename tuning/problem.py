"""What is searched, as the command line says it; torch-free, so that it is checked before torch is imported."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from models.figures import LOSS, reported
from tuning import bayesopt
from tuning.arms import COMMON
from tuning.grid import grid
from tuning.objectives import Goal, read_goal
from tuning.population import MOVABLE, is_movable
from tuning.settings import TuneSettings
from tuning.space import Compose, Parameter, Values, around, automatic_space, configured, overrides, read_space
from utils.build import OF_THE_CHOICE, settings
from utils.configuration import absolute, digest
from utils.words import many

Config = dict[str, Any]

NOT_IN_TRIALS = ("checkpoints", "visualisation", "label_errors", "store")  # callbacks of a run that is kept
OF_THE_PLACE = ("logs", "experiment_name", "run_name", "force")  # what a search is called changes nothing of it
OF_A_TRIAL = ("batch_size", "eval_batch_size", "seed", "weighted_sampling", "power", "workers")  # on the same images
OF_FIGURES = ("task", "callback", "experiment")  # what decides which figures there are
OF_THE_LOSS = ("task.loss", "task.class_weights", "task.head_weights")
WITHOUT_EFFECT = ("tune", "trainer.tune", "trainer.progress", "logger", "tester", "optimizers.search.at_once",
                  "resume_full_training", "reproduce", *OF_THE_PLACE,
                  *(f"callback.{name}" for name in NOT_IN_TRIALS))  # fmt: skip


@dataclass(frozen=True)
class Problem:
    """config: as composed from the command line. compose: what it is with a trial's overrides on top.

    choices: the options of its groups (models: simple_cnn).
    """

    config: Config
    choices: Mapping[str, str]
    compose: Compose

    @cached_property
    def settings(self) -> TuneSettings:
        return settings(TuneSettings, self.config["tune"], "tune.")

    @cached_property
    def goal(self) -> Goal:
        return read_goal(self.settings.objectives, self.settings.mode, self.settings.constraints)

    @cached_property
    def parameters(self) -> list[Parameter]:
        given, when = self.settings.space, self.settings.when
        if given != "auto":
            return read_space(given, when, self.compose)
        space = automatic_space(self.config, self.settings.auto)
        return around(read_space(space, when, self.compose), self.config)

    @property
    def epochs(self) -> int:
        """Of a trial at most."""
        return self.settings.epochs or int(self.config["trainer"]["max_epochs"])

    @property
    def has_one_set(self) -> bool:
        """Whether all trials train on the same images, prepared in the same way."""
        differing = (one.key for one in self.parameters if one.key.rpartition(".")[2] not in OF_A_TRIAL)
        return not any(_lies_in(key, group) for key in differing for group in ("datamodule", "task"))

    @property
    def digest(self) -> str:
        """The same for searches that are the same, wherever they lie."""
        return digest({key: value for key, value in self.config.items() if key not in OF_THE_PLACE})

    @property
    def first(self) -> Values:
        """The configuration as it stands, as the first trial; empty where it lies outside of the space."""
        return configured(self.parameters, self.config, self.choices)

    @property
    def unlike(self) -> str:
        """That a loss is asked for which is another one in some trials; empty where all have the same."""
        keys = [one.key for one in self.parameters if any(_lies_in(one.key, part) for part in OF_THE_LOSS)]
        if not keys or LOSS not in self.goal.figures:
            return ""
        return f"trials are compared by {LOSS}, which {keys[0]} changes: ask for another tune.objective"

    def check(self) -> "Problem":
        """Raises ValueError for all that is wrong with the search and can be known before it begins."""
        grace, key = self.settings.grace_epochs, "tune.epochs" if self.settings.epochs else "trainer.max_epochs"
        if self.settings.scheduler != "none" and grace > self.epochs:
            raise ValueError(
                f"tune.grace_epochs={grace}, but a trial has {many(self.epochs, 'epoch')}: lower it, or raise {key}"
            )
        if self.config["resume_full_training"]:
            raise ValueError("a search goes on by the same command: leave resume_full_training out")
        if self.config["reproduce"]:
            raise ValueError("reproduce takes a run as it is, trainer.tune=true looks for another: leave one out")
        self._refuse_unreported()
        if self.settings.searcher == "grid":
            grid(self.parameters)
        if self.settings.searcher == "bayesopt":
            bayesopt.check(self.parameters)
        if self.settings.scheduler == "pbt":
            self._check_population()
        for parameter in self.parameters:
            self._refuse_without_effect(parameter.key)
            _refuse_one_value(parameter)
        return self

    def _refuse_unreported(self) -> None:
        """Raises ValueError for a figure of the goal that no trial will have, as far as the configuration tells."""
        differing = any(_lies_in(one.key, group) for one in self.parameters for group in OF_FIGURES)
        if not differing and (figures := reported(self.config)) is not None:
            self.goal.refuse_unreported(figures)

    def _refuse_without_effect(self, key: str) -> None:
        """Raises ValueError for a key that each trial overwrites, or none reads: its values would change nothing."""
        if key == "trainer.max_epochs":
            raise ValueError(f"tune.space: {key}: all trials have the same epochs; give tune.epochs, outside of it")
        if any(_lies_in(key, one) for one in WITHOUT_EFFECT):
            raise ValueError(f"tune.space: {key} changes nothing of a trial: leave it out of tune.space")
        if self._is_chosen(key):
            raise ValueError(f"tune.space: {key}: optimizers.option=auto chooses it in each trial; leave one out")

    def _is_chosen(self, key: str) -> bool:
        """Whether the automatic optimizer of each trial takes another value: each candidate has its own."""
        asked = self.config["optimizers"].get("option") == "auto"
        searched = any(one.key == "optimizers.option" for one in self.parameters)
        name = key.removeprefix("optimizers.").partition(".")[0]
        return asked and not searched and _lies_in(key, "optimizers") and name not in (*OF_THE_CHOICE, *COMMON)

    def _check_population(self) -> None:
        """A training's middle can be taken over where there is one, and where nothing is chosen at its beginning."""
        for group, key in (("optimizers", "option"), ("optimizers", "lr"), ("datamodule", "batch_size")):
            if self.config[group].get(key) == "auto":
                raise ValueError(f"tune.scheduler=pbt goes on from weights in mid-training, {group}.{key}=auto chooses "
                                 "at the beginning: give a value, or another scheduler")  # fmt: skip
        if not any(is_movable(parameter) for parameter in self.parameters):
            raise ValueError(
                "tune.scheduler=pbt changes numbers in mid-training, and tune.space has none that can be: add one of "
                f"{', '.join(f'{prefix}*' for prefix in MOVABLE)}, or use another scheduler"
            )
        interval = self.settings.perturb_epochs
        if interval >= self.epochs:
            raise ValueError(
                f"tune.perturb_epochs={interval}: a trial has {many(self.epochs, 'epoch')}, so nothing is changed"
            )

    def of_trial(self, values: Values, on_gpu: bool = False) -> Config:
        """A trial's whole configuration, paths absolute: nothing of the driver's process is needed to train it."""
        config = as_trial(self.compose(overrides(values)), self.epochs)
        trainer = config["trainer"]
        if trainer["speed"] == "auto" and not on_gpu:  # beside other trials a measurement is noise, and takes a second
            trainer["speed"] = "fp32"
        trainer["threads"] = trainer["threads"] or max(1, int(self.settings.cpus_per_trial))
        if "search" in config["optimizers"]:
            config["optimizers"]["search"]["at_once"] = 1  # trials are side by side already
        return config

    def of_best(self, values: Values) -> Config:
        """The configuration of the full training, which is a normal run."""
        config = self.compose(overrides(values))
        return config | {"trainer": config["trainer"] | {"tune": False}}


def _refuse_one_value(parameter: Parameter) -> None:
    """Raises ValueError where all trials have the same value; one that only some of them have makes a difference."""
    if parameter.count == 1 and not parameter.only_if:
        given = overrides({parameter.key: parameter.values[0]})[0]
        raise ValueError(
            f"tune.space: {parameter.key} has one value alone, and nothing is searched: give several, or leave it out "
            f"of tune.space and set {given}"
        )


def _lies_in(key: str, whole: str) -> bool:
    return f"{key.replace('/', '.')}.".startswith(f"{whole}.")


def as_trial(config: Config, epochs: int) -> Config:
    """A configuration as one of many trainings, of which the figures alone are kept; its paths are absolute."""
    config = absolute(config)
    config["trainer"] |= {"tune": False, "progress": False, "max_epochs": epochs}
    config["callback"] |= {name: None for name in NOT_IN_TRIALS if name in config["callback"]}
    config["logger"] = {name: node for name, node in config["logger"].items() if name == "metrics_file"}
    return config
