"""Values by chance: anywhere, or close to others, since near a good configuration better ones are often found."""

from collections.abc import Sequence
from random import Random

from tuning.population import anywhere, scaled, unscaled, within
from tuning.space import Parameter, Value, Values

CHANGED = 0.5  # of the parameters
STEP = 0.15  # of a range: the standard deviation of a change


def drawn(parameters: Sequence[Parameter], rng: Random) -> Values:
    """Values from the whole space."""
    values: Values = {}
    for parameter in parameters:
        if parameter.is_active(values):
            is_choice = parameter.kind == "choice"
            values[parameter.key] = (
                rng.choice(parameter.choices) if is_choice else within(parameter, anywhere(parameter, rng))
            )
    return values


def neighbour(parameters: Sequence[Parameter], values: Values, rng: Random) -> Values:
    """Half of the values changed, a number by a little, a choice to any of its values."""
    return {
        parameter.key: _changed(parameter, values[parameter.key], rng)
        if rng.random() < CHANGED
        else values[parameter.key]
        for parameter in parameters
        if parameter.key in values
    }


def _changed(parameter: Parameter, value: Value, rng: Random) -> Value:
    if parameter.kind == "choice":
        return rng.choice(parameter.choices)
    low, high = scaled(parameter, parameter.low), scaled(parameter, parameter.high)
    place = scaled(parameter, float(value)) + rng.gauss(0.0, STEP) * (high - low)
    return within(parameter, unscaled(parameter, min(max(place, low), high)))
