"""Successive halving (Jamieson & Talwalkar 2016, arXiv:1502.07943) where a round is a training of its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

Kind = TypeVar("Kind")
FEWEST_STEPS = 8  # of the shortest round


@dataclass(frozen=True)
class Round:
    """How many arms train, and for how many steps each."""

    arms: int
    steps: int

    @property
    def cost(self) -> int:
        return self.arms * self.steps


def sizes(arms: int, eta: int) -> list[int]:
    """Arms in each round: one in eta goes on, until no more than eta are left to be compared.

    >>> sizes(21, 3)
    [21, 7, 3]
    """
    found = [arms]
    while found[-1] > eta:
        found.append(-(-found[-1] // eta))
    return found


def lengthening(arms: int, eta: int, longest: int) -> list[Round]:
    """Rounds of which the last has `longest` steps and each other one an eta-th of the next one's.

    A round that would be no longer than the one before it is left out: it would only repeat it.
    """
    counts = sizes(arms, eta)
    lengths = [round(longest / eta**back) for back in range(len(counts) - 1, -1, -1)]
    least = min(FEWEST_STEPS, max(longest, 1))
    rounds = [Round(count, max(steps, least)) for count, steps in zip(counts, lengths, strict=True)]
    return [one for place, one in enumerate(rounds) if place == 0 or one.steps > rounds[place - 1].steps]


def within(arms: int, eta: int, cost: float) -> list[Round]:
    """The longest rounds whose steps add up to no more than `cost`, but for the fewest steps that tell anything."""
    counts = sizes(arms, eta)
    relative = sum(count / eta**back for count, back in zip(counts, range(len(counts) - 1, -1, -1), strict=True))
    return lengthening(arms, eta, max(FEWEST_STEPS, int(cost / relative)))


def best(arms: Sequence[Kind], losses: Sequence[float], count: int) -> list[Kind]:
    """The arms of the lowest finite losses, the best first; of equals the earlier one."""
    order = sorted((loss, place) for place, loss in enumerate(losses) if loss < float("inf"))
    return [arms[place] for _, place in order[:count]]
