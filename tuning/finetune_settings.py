"""Settings of trying candidates of a model search on the user's own images; free of torch."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from models.figures import reported
from tuning.halving import Round, lengthening
from utils.configuration import composed

Config = dict[str, Any]
OF_THE_DATA = "datamodule"


@dataclass(frozen=True)
class FinetuneSettings:
    """What configuration/finetune/default.yaml sets; the comments there say what each key does."""

    candidates: int = 8
    epochs: int = 6
    reduction: int = 3
    objective: str = "val/accuracy"
    overrides: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for key, least in (("candidates", 0), ("epochs", 1), ("reduction", 2)):
            if getattr(self, key) < least:
                raise ValueError(f"finetune.{key}={getattr(self, key)}: use {least} or more")
        if not self.objective.startswith("val/"):
            raise ValueError(
                f"finetune.objective={self.objective}: candidates are ranked by a validation's figure, "
                "use val/accuracy, val/loss or the like"
            )

    def check_objective(self, config: Config) -> None:
        """Raises ValueError where trainings of this configuration will not report it, as far as that is known."""
        figures = reported(config)
        if figures is not None and self.objective not in figures:
            raise ValueError(
                f"finetune.objective={self.objective}: these trainings do not report it, but {', '.join(figures)}"
            )

    def rounds(self, candidates: int) -> list[Round]:
        """How many candidates train, and for how many epochs each."""
        return lengthening(candidates, self.reduction, self.epochs, shortest=1)


@dataclass(frozen=True)
class OwnImages:
    """Short trainings of candidates on a data set. config: train.py's configuration of them, but for the network.

    given: overrides that a full training on the same images takes.
    """

    rules: FinetuneSettings
    config: Config
    given: tuple[str, ...] = ()


def own_images(task: Sequence[str], rules: FinetuneSettings) -> OwnImages | None:
    """From a command line of benchmark.py; None where it names no data set. Raises ValueError for wrong keys."""
    given = [override for override in task if override.partition("=")[0].partition(".")[0] == OF_THE_DATA]
    if not given:
        return None
    if not any(override.startswith(f"{OF_THE_DATA}=") for override in given):
        raise ValueError(f"{given[0]} belongs to a data set: name it as well: datamodule=folder datamodule.root=DIR")
    if rules.candidates < 1:
        raise ValueError(f"finetune.candidates={rules.candidates}, but a data set is given: use 1 or more")
    config = composed(["models=timm", *given, *rules.overrides])
    rules.check_objective(config)
    to_paste = tuple(_unquoted(override) for override in [*given, *rules.overrides])
    return OwnImages(rules, config, to_paste)


def _unquoted(override: str) -> str:
    """A path without the quotes of Hydra's grammar, which each command adds by itself."""
    key, _, value = override.partition("=")
    quoted = len(value) > 1 and value[0] == value[-1] == "'"
    return f"{key}={value[1:-1]}".replace("\\'", "'") if quoted else override
