"""tune.searcher=bayesopt: Ray's BayesOptSearch, a Gaussian process with an upper confidence bound, for numbers alone.

It needs an old version of its package (requirements-bayesopt.txt); tune.searcher=gp does the same for any space.
"""

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from tuning.population import scaled, unscaled, within
from tuning.space import Parameter, Values
from utils.build import ConfigurationError

NEEDED = "1.4.3"
UNLIMITED = 10**9
Point = tuple[float, ...]


def check(parameters: Sequence[Parameter]) -> None:
    """Raises ConfigurationError where the package is missing or another version, or the space has more than numbers."""
    try:
        found = version("bayesian-optimization")
    except PackageNotFoundError:
        found = "none"
    if found != NEEDED:
        raise ConfigurationError(
            f"tune.searcher=bayesopt needs bayesian-optimization {NEEDED}, {found} is installed: "
            "pip install -r requirements-bayesopt.txt, or use tune.searcher=gp"
        )
    for parameter in parameters:
        if parameter.kind == "choice" or parameter.only_if:
            raise ConfigurationError(
                f"tune.searcher=bayesopt knows numbers that every trial has, {parameter.key} is none: use gp or tpe"
            )


def suggested(
    parameters: Sequence[Parameter], told: Sequence[tuple[Values, float]], pending: Sequence[Values], seed: int
) -> Values:
    """What to try next. told: values and cost (less is better). pending: trials that run, taken for mediocre ones."""
    mean = sum(cost for _, cost in told) / len(told)
    known = {_point(parameters, values): cost for values, cost in [*((one, mean) for one in pending), *told]}
    found = _next([_ends(parameter) for parameter in parameters], known, seed)
    return {
        parameter.key: within(parameter, unscaled(parameter, place))
        for parameter, place in zip(parameters, found, strict=True)
    }


def _next(space: Sequence[tuple[float, float]], known: dict[Point, float], seed: int) -> Point:
    """A new search that is told all there is: like the others, it depends on nothing else."""
    from ray.tune.search.bayesopt import BayesOptSearch

    names = [f"{place:03}" for place in range(len(space))]
    search = BayesOptSearch(
        dict(zip(names, space, strict=True)),
        metric="cost",
        mode="min",
        points_to_evaluate=[dict(zip(names, point, strict=True)) for point in known],
        random_state=seed,
        random_search_steps=0,
        skip_duplicate=False,
        patience=UNLIMITED,
    )
    for number, cost in enumerate(known.values()):
        search.suggest(str(number))
        search.on_trial_complete(str(number), {"cost": cost})
    found = search.suggest("next")
    assert isinstance(found, dict)
    return tuple(float(found[name]) for name in names)


def _ends(parameter: Parameter) -> tuple[float, float]:
    return scaled(parameter, float(parameter.low)), scaled(parameter, float(parameter.high))


def _point(parameters: Sequence[Parameter], values: Values) -> Point:
    return tuple(scaled(parameter, float(values[parameter.key])) for parameter in parameters)
