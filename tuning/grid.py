"""tune.searcher=grid: every combination of a space whose values can be counted."""

from collections.abc import Mapping, Sequence
from itertools import product

from tuning.space import Parameter, Value, Values

MOST_GRID = 10_000


def grid(parameters: Sequence[Parameter]) -> list[Values]:
    """Every combination, each once."""
    size = 1
    for parameter in parameters:
        if parameter.count is None:
            raise ValueError(
                f"tune.searcher=grid counts the values, {parameter.key} has an interval: "
                "use choice(…) or range(start, stop, step) for it, or another searcher"
            )
        size *= parameter.count
    if size > MOST_GRID:
        raise ValueError(f"tune.searcher=grid has {size:,} combinations here, {MOST_GRID:,} at most: use tpe or random")
    found: dict[tuple[tuple[str, Value], ...], Values] = {}
    for combination in product(*(parameter.values for parameter in parameters)):
        values = _active(parameters, dict(zip((one.key for one in parameters), combination, strict=True)))
        found[tuple(values.items())] = values
    return list(found.values())


def _active(parameters: Sequence[Parameter], given: Mapping[str, Value]) -> Values:
    values: Values = {}
    for parameter in parameters:
        if parameter.is_active(values):
            values[parameter.key] = given[parameter.key]
    return values
