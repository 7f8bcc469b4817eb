"""What a search is after: figures to lower or to raise, and limits that a configuration must keep."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from models.direction import Mode, direction
from tuning.settings import OF_A_WHOLE_TRIAL
from utils.build import ConfigurationError
from utils.signature import nearest
from utils.words import figure

Figures = Mapping[str, float]

CONSTRAINT = re.compile(r"(?P<figure>\S+?) *(?P<sign><=|>=) *(?P<limit>[-+0-9.eE]+)")


@dataclass(frozen=True)
class Objective:
    """A figure and which way it should go."""

    figure: str
    raised: bool = False

    def cost(self, figures: Figures) -> float:
        """The figure so that less is better; NaN where it is not there."""
        value = figures.get(self.figure, math.nan)
        return -value if self.raised else value

    def told(self, cost: float) -> float:
        """The figure again, from its cost."""
        return -cost if self.raised else cost


@dataclass(frozen=True)
class Constraint:
    """A figure's limit, kept where `excess` is 0 or below."""

    figure: str
    limit: float
    at_least: bool

    def excess(self, figures: Figures) -> float:
        """By how much the limit is broken; NaN where the figure is not there."""
        difference = figures.get(self.figure, math.nan) - self.limit
        return -difference if self.at_least else difference

    def __str__(self) -> str:
        return f"{self.figure} {'≥' if self.at_least else '≤'} {figure(self.limit)}"


@dataclass(frozen=True)
class Goal:
    """All objectives and constraints of a search."""

    objectives: tuple[Objective, ...]
    constraints: tuple[Constraint, ...] = ()

    @property
    def main(self) -> Objective:
        """What trials are stopped by, and the best one is chosen by among equals."""
        return self.objectives[0]

    @property
    def figures(self) -> list[str]:
        """Of the objectives, then of the constraints, each once."""
        return list(dict.fromkeys([one.figure for one in self.objectives] + [one.figure for one in self.constraints]))

    def costs(self, figures: Figures) -> list[float]:
        return [objective.cost(figures) for objective in self.objectives]

    def is_kept(self, figures: Figures) -> bool:
        """Whether every constraint is."""
        return not self.broken(figures)

    def broken(self, figures: Figures) -> list[Constraint]:
        """The constraints that are not kept, or whose figure is not there."""
        return [one for one in self.constraints if not one.excess(figures) <= 0]

    def excess(self, figures: Figures) -> float:
        """By how many times its limit the one that is broken most is; infinite where a figure is not there."""
        shares = [one.excess(figures) / (abs(one.limit) or 1.0) for one in self.broken(figures)]
        return max((math.inf if math.isnan(share) else share for share in shares), default=0.0)

    def refuse_unreported(self, reported: Sequence[str]) -> None:
        """Raises ValueError where a figure is asked for that no trial can have."""
        known = [*reported, *OF_A_WHOLE_TRIAL]
        asked = [(one.figure, "objective") for one in self.objectives]
        asked += [(one.figure, "constraints") for one in self.constraints]
        for name, key in asked:
            if name not in known:
                told = f"{nearest(name, known)} (reported are: {', '.join(known)})"
                raise ValueError(f"tune.{key}: no trial reports {name}; {told}")


def read_goal(objectives: Sequence[str], mode: Mode | Sequence[Mode], constraints: Sequence[str]) -> Goal:
    """The goal that tune.objective, tune.mode and tune.constraints spell."""
    modes: list[Mode] = [mode] * len(objectives) if isinstance(mode, str) else list(mode)
    return Goal(
        tuple(Objective(name, direction(name, way) == "max") for name, way in zip(objectives, modes, strict=True)),
        tuple(_constraint(text) for text in constraints),
    )


def _constraint(text: str) -> Constraint:
    found = CONSTRAINT.fullmatch(text.strip())
    if found is None:
        raise ConfigurationError(f'tune.constraints: {text}: write it as "latency_ms<=5" or "val/accuracy>=0.9"')
    return Constraint(found["figure"], _limit(text, found["limit"]), found["sign"] == ">=")


def _limit(text: str, spelt: str) -> float:
    try:
        return float(spelt)
    except ValueError as error:
        raise ConfigurationError(f"tune.constraints: {text}: {spelt} is no number") from error
