"""tune.scheduler=pbt: what changes when a trial goes on from a better one's weights.

Population-based training (Jaderberg et al. 2017, arXiv:1711.09846): every so many epochs the worst quarter of the
trials take over the weights and values of the best quarter, and change some of the values. Only numbers that a training
can change in its middle are changed; all else comes with the weights.
"""

import math
from collections.abc import Sequence
from random import Random

from tuning.space import Parameter, Value, Values

MOVABLE = ("optimizers.", "task.", "datamodule.augment.")
FACTORS = (0.8, 1.2)
RESAMPLED = 0.25  # of the changes; the others are steps by one of the factors


def is_movable(parameter: Parameter) -> bool:
    """Whether a training can go on with another value of it."""
    return parameter.kind != "choice" and parameter.key.startswith(MOVABLE)


def explored(parameters: Sequence[Parameter], values: Values, rng: Random) -> Values:
    """The values that a trial goes on with, from those of the trial whose weights it takes over."""
    found = dict(values)
    for parameter in parameters:
        if parameter.key in found and is_movable(parameter):
            found[parameter.key] = _moved(parameter, float(found[parameter.key]), rng)
    return found


def _moved(parameter: Parameter, value: float, rng: Random) -> Value:
    moved = anywhere(parameter, rng) if rng.random() < RESAMPLED else value * rng.choice(FACTORS)
    return within(parameter, moved)


def anywhere(parameter: Parameter, rng: Random) -> float:
    return unscaled(parameter, rng.uniform(scaled(parameter, parameter.low), scaled(parameter, parameter.high)))


def scaled(parameter: Parameter, value: float) -> float:
    """On the scale on which the parameter's values are drawn evenly."""
    return math.log(value) if parameter.log else value


def unscaled(parameter: Parameter, place: float) -> float:
    """Back from it."""
    return math.exp(place) if parameter.log else place


def within(parameter: Parameter, value: float) -> Value:
    """The nearest value that the parameter can have."""
    step = parameter.step or (1 if parameter.kind == "int" else None)
    if step is not None:
        value = parameter.low + round((value - parameter.low) / step) * step
    value = float(min(max(value, parameter.low), parameter.high))
    return round(value) if parameter.kind == "int" else value
