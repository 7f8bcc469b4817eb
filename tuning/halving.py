"""Successive halving (Jamieson & Talwalkar 2016, arXiv:1502.07943) where a round is a training of its own.

The one plan of rounds: of the automatic optimizer in steps, of the model search on own images in epochs, of
experiment=auto in shares of the time.
"""

from typing import NamedTuple

FEWEST_STEPS = 8  # that tell anything


class Round(NamedTuple):
    """How many arms train, and for how many steps or epochs each."""

    arms: int
    length: int


def sizes(arms: int, eta: int) -> list[int]:
    """Arms in each round: one in eta goes on, until no more than eta are left to be compared.

    >>> sizes(21, 3)
    [21, 7, 3]
    """
    found = [arms]
    while found[-1] > eta:
        found.append(-(-found[-1] // eta))
    return found


def lengthening(arms: int, eta: int, longest: int, shortest: int = FEWEST_STEPS) -> list[Round]:
    """Rounds of which the last is `longest` and each other one an eta-th as long as the next, at least `shortest`.

    A round that would be no longer than the one before it is left out: it would only repeat it.
    """
    counts = sizes(arms, eta)
    lengths = [round(longest / eta**back) for back in range(len(counts) - 1, -1, -1)]
    least = min(shortest, max(longest, 1))
    rounds = [Round(count, max(length, least)) for count, length in zip(counts, lengths, strict=True)]
    return [one for place, one in enumerate(rounds) if place == 0 or one.length > rounds[place - 1].length]


def within(arms: int, eta: int, cost: float, again: int = 0) -> list[Round]:
    """The longest rounds whose steps add up to no more than `cost`, but for the fewest steps that tell anything.

    again: arms that train once more as long as the last round, where there is more than one.
    """
    counts = sizes(arms, eta)
    relative = sum(count / eta**back for count, back in zip(counts, range(len(counts) - 1, -1, -1), strict=True))
    relative += again if len(counts) > 1 else 0
    return lengthening(arms, eta, max(FEWEST_STEPS, int(cost / relative)))
