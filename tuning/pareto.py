"""Which of many compromises no other one beats."""

from collections.abc import Sequence


def front(costs: Sequence[float], gains: Sequence[float]) -> list[bool]:
    """For each whether none costs no more and gains no less without being equal in both. NaN is never on the front."""
    order = sorted(
        (place for place in range(len(costs)) if costs[place] == costs[place] and gains[place] == gains[place]),
        key=lambda place: (costs[place], -gains[place]),
    )
    marked = [False] * len(costs)
    best, at = float("-inf"), float("nan")
    for place in order:
        if gains[place] > best:
            best, at = gains[place], costs[place]
        marked[place] = gains[place] == best and costs[place] == at
    return marked
