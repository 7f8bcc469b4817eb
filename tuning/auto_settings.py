"""Settings of the automatic optimizer; torch-free, so that they are checked before torch is imported."""

from dataclasses import dataclass, field
from typing import Any, Literal

from models.settings import duration
from utils.build import OF_THE_CHOICE, settings
from utils.optimizer_names import refuse_unknown
from utils.overrides import optimizers

Config = dict[str, Any]
PLAIN_RULE = "lowest_train_loss"


@dataclass(frozen=True)
class SearchSettings:
    """How arms (an optimizer at a rate) are compared; configuration/optimizers/default.yaml says what each key does."""

    rule: Literal["halving", "lowest_train_loss"] = "halving"
    then: Literal["restart", "continue"] = "restart"
    rates: int = 3
    eta: int = 3
    share: float = 2.5
    horizon: float = 0.33
    order: list[str] = field(default_factory=list)
    at_once: int | Literal["auto"] = "auto"
    replay: int | None = None

    def __post_init__(self) -> None:
        for key, least in (("rates", 1), ("eta", 2)):
            if getattr(self, key) < least:
                raise ValueError(f"optimizers.search.{key}={getattr(self, key)}: use {least} or more")
        if self.at_once != "auto" and self.at_once < 1:
            raise ValueError(f"optimizers.search.at_once={self.at_once}: use 1 or more, or auto for one on each GPU")
        for name in self.order:
            refuse_unknown("optimizers.search.order", name, optimizers())
        if not -1 <= self.horizon <= 1:
            raise ValueError(f"optimizers.search.horizon={self.horizon}: use an exponent from -1 to 1")
        if not 0 < self.share <= 100:
            raise ValueError(f"optimizers.search.share={self.share}: use a number of full trainings above 0, such as 1")


@dataclass(frozen=True)
class AutoSettings:
    """What an optimizer's node says of the automatic choice."""

    option: Literal["auto"] | None = None
    candidates: list[str] | None = None
    num_epochs: float | None = None
    max_step_count: int | None = None
    max_training_time: str | None = None
    lr_range: list[float] | None = None
    lr_falls: float = 0.0
    search: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for key in ("num_epochs", "max_step_count"):
            value = getattr(self, key)
            if value is not None and value <= 0:
                raise ValueError(f"optimizers.{key}={value} trains nothing: use a number above 0, or null")
        if self.max_training_time is not None:
            duration(self.max_training_time, "optimizers.max_training_time")
        if self.candidates is not None and len(set(self.candidates)) != len(self.candidates):
            raise ValueError(f"optimizers.candidates={self.candidates}: name each one once")
        if self.candidates == []:
            raise ValueError("optimizers.candidates=[] leaves nothing to try: name some, or give null for all")
        for name in self.candidates or ():
            refuse_unknown("optimizers.candidates", name, optimizers())
        if self.lr_range is not None:
            check_range(self.lr_range)

    @property
    def seconds(self) -> float | None:
        """The whole search's time."""
        return None if self.max_training_time is None else duration(self.max_training_time).total_seconds()


def check_range(ends: list[float]) -> None:
    """Raises ValueError unless it is [lowest, highest]."""
    if len(ends) != 2 or not 0 < ends[0] <= ends[1]:
        raise ValueError(f"optimizers.lr_range={ends}: give [lowest, highest], both above 0")


def of_choice(node: Config) -> tuple[AutoSettings, SearchSettings]:
    """What an optimizers node says of the automatic choice, checked; a node that says nothing means the defaults."""
    given = settings(AutoSettings, {key: node[key] for key in OF_THE_CHOICE if key in node}, "optimizers.")
    return given, settings(SearchSettings, given.search, "optimizers.search.")
