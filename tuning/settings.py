"""Settings of a search; torch-free, so that they are checked before torch is imported."""

from dataclasses import dataclass, field
from typing import Literal

from models.figures import LOSS
from models.settings import duration

Searcher = Literal["tpe", "gp", "random", "grid", "bayesopt"]
Scheduler = Literal["asha", "hyperband", "median", "pbt", "none"]
OF_A_WHOLE_TRIAL = ("latency_ms", "parameters", "seconds")  # known when it ends; all else is logged every validation


@dataclass(frozen=True)
class TuneSettings:
    """What configuration/tune/default.yaml sets; the comments there say what each key does."""

    trials: int = 16
    epochs: int | None = None
    grace_epochs: int = 1
    reduction: int = 4
    perturb_epochs: int = 1
    max_time: str | None = None
    backend: Literal["ray", "local"] = "ray"
    searcher: Searcher = "tpe"
    scheduler: Scheduler = "asha"
    objective: str | list[str] = LOSS
    mode: Literal["auto", "min", "max"] | list[Literal["min", "max"]] = "auto"
    constraints: list[str] = field(default_factory=list)
    space: list[str] | Literal["auto"] = "auto"
    auto: list[str] = field(default_factory=list)
    when: list[str] = field(default_factory=list)
    cpus_per_trial: float = 1.0
    gpus_per_trial: float | Literal["auto"] = "auto"
    at_once: int = 1
    address: str | None = None
    token: bool = False
    final: bool = True

    def __post_init__(self) -> None:
        for key in ("trials", "grace_epochs", "perturb_epochs", "at_once"):
            if getattr(self, key) < 1:
                raise ValueError(f"tune.{key}={getattr(self, key)}: use 1 or more")
        if self.epochs is not None and self.epochs < 1:
            raise ValueError(f"tune.epochs={self.epochs} trains nothing: use 1 or more, or null for trainer.max_epochs")
        if self.reduction < 2:
            raise ValueError(f"tune.reduction={self.reduction}: one trial of this many goes on, use 2 or more")
        if self.cpus_per_trial <= 0:
            raise ValueError(f"tune.cpus_per_trial={self.cpus_per_trial}: use a number above 0, such as 0.5 or 2")
        if self.gpus_per_trial != "auto" and self.gpus_per_trial < 0:
            raise ValueError(f"tune.gpus_per_trial={self.gpus_per_trial}: use 0, a share such as 0.25, or more")
        if self.max_time is not None:
            duration(self.max_time, "tune.max_time")
        self._refuse_impossible_pairs()

    def _refuse_impossible_pairs(self) -> None:
        if not self.objectives:
            raise ValueError("tune.objective=[]: name at least one figure, such as val/loss")
        if len(set(self.objectives)) < len(self.objectives):
            raise ValueError(f"tune.objective={self.objectives}: name each figure once")
        if isinstance(self.mode, list) and len(self.mode) != len(self.objectives):
            raise ValueError(f"tune.mode={self.mode}: give one of min and max for each of {self.objectives}")
        if self.space != "auto" and not self.space:
            raise ValueError("tune.space=[] holds nothing to search: give override strings, or auto")
        if self.backend == "local" and self.address is not None:
            raise ValueError(f"tune.address={self.address} is for tune.backend=ray")
        if self.backend == "ray" and self.at_once > 1:
            raise ValueError(
                f"tune.at_once={self.at_once} is for tune.backend=local: ray runs as many trials as "
                "tune.cpus_per_trial and tune.gpus_per_trial leave room for"
            )
        if self.searcher == "bayesopt" and len(self.objectives) > 1:
            raise ValueError(
                f"tune.searcher=bayesopt lowers one figure, tune.objective={self.objectives}: use tpe or gp"
            )
        if self.scheduler == "pbt":
            self._refuse_no_population()

    def _refuse_no_population(self) -> None:
        """Trials of a population train by turns and take over each other's weights: Ray does that."""
        if self.backend == "local":
            raise ValueError("tune.scheduler=pbt trains a population by turns: use tune.backend=ray")
        if self.trials < 4:
            raise ValueError(f"tune.trials={self.trials} is no population: tune.scheduler=pbt needs 4 or more")
        if len(self.objectives) > 1 or self.objectives[0] in OF_A_WHOLE_TRIAL:
            raise ValueError(
                f"tune.scheduler=pbt compares trials by one figure of each validation, tune.objective={self.objective} "
                "is none: use val/loss or the like"
            )

    @property
    def objectives(self) -> list[str]:
        """One or several, as a list."""
        return [self.objective] if isinstance(self.objective, str) else self.objective

    @property
    def judged_late(self) -> str:
        """Why no trial can be stopped for its figures; empty where one can be."""
        if len(self.objectives) > 1:
            return "of several objectives none decides alone"
        return f"{self.objectives[0]} is known at a trial's end" if self.objectives[0] in OF_A_WHOLE_TRIAL else ""

    @property
    def seconds(self) -> float | None:
        """Of the whole search; None: no limit."""
        return None if self.max_time is None else duration(self.max_time).total_seconds()
