"""When to stop: each rule looks at the rounds so far and answers why it would, or None."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from active.view import Places


@dataclass(frozen=True)
class Round:
    """What is known after a round. kappa: agreement with the round before on fixed images, None in the first one."""

    number: int
    labels: int
    cost: float
    accuracy: float | None
    low: float | None
    high: float | None
    uncertainty: float
    coverage: float
    kappa: float | None

    @classmethod
    def of(cls, facts: dict[str, Any]) -> "Round":
        return cls(**{name: facts[name] for name in cls.__annotations__})


class Rule(Protocol):
    def why(self, rounds: Sequence[Round]) -> str | None:
        """A reason to stop after the last of these rounds."""


class Stable:
    """Predictions have stabilised: kappa at least that high, so many rounds in a row."""

    def __init__(self, kappa: float = 0.99, rounds: int = 3) -> None:
        if not 0 < kappa <= 1 or rounds < 1:
            raise ValueError(f"active.stopping.stable: kappa={kappa}, rounds={rounds}: kappa up to 1, 1 round or more")
        self.kappa, self.rounds = kappa, rounds

    def why(self, rounds: Sequence[Round]) -> str | None:
        last = [round.kappa for round in rounds[-self.rounds :]]
        if len(last) < self.rounds or any(kappa is None or kappa < self.kappa for kappa in last):
            return None
        return f"predictions have stabilised: kappa at least {self.kappa} for {self.rounds} rounds"


class Certain:
    """The model is sure of the pool: mean 1 - margin below `uncertainty`."""

    def __init__(self, uncertainty: float = 0.05) -> None:
        self.uncertainty = uncertainty

    def why(self, rounds: Sequence[Round]) -> str | None:
        now = rounds[-1].uncertainty
        return f"mean uncertainty {now:.3f} is below {self.uncertainty}" if now < self.uncertainty else None


class Plateau:
    """None of the last rounds' accuracies lies above the range of the best one before."""

    def __init__(self, rounds: int = 5) -> None:
        if rounds < 1:
            raise ValueError(f"active.stopping.plateau.rounds={rounds}: use 1 or more")
        self.rounds = rounds

    def why(self, rounds: Sequence[Round]) -> str | None:
        judged = [(round.accuracy, round.high) for round in rounds if round.accuracy is not None]
        if len(judged) <= self.rounds:
            return None
        best, high = max(judged[: -self.rounds])
        late = max(value for value, _ in judged[-self.rounds :])
        if high is None or late > high:
            return None
        return f"accuracy has not left the range of {best:.4f} (up to {high:.4f}) in {self.rounds} rounds"


class Covered:
    """The labelled images stand for the pool."""

    def __init__(self, coverage: float = 0.95) -> None:
        self.coverage = coverage

    def why(self, rounds: Sequence[Round]) -> str | None:
        now = rounds[-1].coverage
        return f"coverage {now:.1%} has reached {self.coverage:.1%}" if now >= self.coverage else None


class Spent:
    """The labels' cost has reached a sum."""

    def __init__(self, cost: float = 100.0) -> None:
        if cost <= 0:
            raise ValueError(f"active.stopping.spent.cost={cost}: give more than 0")
        self.cost = cost

    def why(self, rounds: Sequence[Round]) -> str | None:
        now = rounds[-1].cost
        return f"cost {now:g} has reached {self.cost:g}" if now >= self.cost else None


def kappa(first: Places, second: Places, classes: int) -> float:
    """Cohen's kappa of two predictions of the same images; 1 where both are one and the same class throughout."""
    agreed = float((first == second).mean())
    shares = [np.bincount(one, minlength=classes) / len(one) for one in (first, second)]
    by_chance = float(shares[0] @ shares[1])
    return 1.0 if by_chance >= 1 else (agreed - by_chance) / (1 - by_chance)
