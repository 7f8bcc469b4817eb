"""What a search may change: override strings in Hydra's own sweep words, read into parameters for every searcher."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from utils.build import ConfigurationError
from utils.configuration import flat_keys, known_keys
from utils.overrides import sweep
from utils.signature import nearest

Value = float | int | str
Values = dict[str, Value]
Config = dict[str, Any]
Compose = Callable[[Sequence[str]], Config]

CONDITION = re.compile(r"(?P<key>\S+) +if +(?P<other>[^\s=]+) *= *(?P<values>.+)")
ENDLESS = 1e18  # for a number, and for how many values a range has
BETWEEN = 0.382  # of an interval lies a number that is not whole
RATE_SPAN, DECAY_SPAN = 10.0, 10.0  # tune.space=auto: factors around the configured value


@dataclass(frozen=True)
class Parameter:
    """One key of the configuration and the values it may take.

    A float or int lies between low and high, both included; with `log` it is drawn evenly over magnitudes. Choices are
    spelt as an override spells them. only_if: the values of another parameter with which this one is there at all.
    """

    key: str
    kind: Literal["float", "int", "choice"]
    low: float = 0.0
    high: float = 0.0
    step: float | None = None
    log: bool = False
    choices: tuple[str, ...] = ()
    only_if: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def count(self) -> int | None:
        """How many values there are, or None where they cannot be counted; none is laid out for it."""
        if self.kind == "choice":
            return len(self.choices)
        if self.kind == "int" or self.step is not None:
            return int((self.high - self.low) / (self.step or 1) + 1e-9) + 1
        return None

    @property
    def looks_whole(self) -> bool:
        """Whether nearly all of its values are not whole, but both of its ends are."""
        return self.count is None and all(float(end).is_integer() for end in (self.low, self.high))

    @property
    def values(self) -> list[Value]:
        """All of them; they must be countable."""
        assert self.count is not None
        return list(self.choices) if self.kind == "choice" else [self._at(place) for place in range(self.count)]

    def _at(self, place: int) -> float | int:
        value = self.low + place * (self.step or 1)
        return int(value) if self.kind == "int" else value

    def holds(self, value: Any) -> bool:
        """Whether a configured value lies in it."""
        if self.kind == "choice":
            return _spelt(value) in self.choices
        if isinstance(value, bool) or not isinstance(value, int | float) or not self.low <= value <= self.high:
            return False
        return self.step is None or value == self._at(round((value - self.low) / self.step))

    def taken(self, value: Any) -> Value:
        """A configured value as this parameter's; it must hold it."""
        if self.kind == "choice":
            return _spelt(value)
        return int(value) if self.kind == "int" else float(value)

    def is_active(self, values: Mapping[str, Value]) -> bool:
        """Whether a trial with these values has it."""
        return all(str(values.get(key)) in allowed for key, allowed in self.only_if.items())


def _spelt(value: Any) -> str:
    return "null" if value is None else str(value)


def overrides(values: Mapping[str, Value]) -> list[str]:
    """A trial's values as a command line has them."""
    return [f"{key}={value!r}" if isinstance(value, float) else f"{key}={value}" for key, value in values.items()]


def read_space(space: Sequence[str], when: Sequence[str], compose: Compose) -> list[Parameter]:
    """The parameters of a space, those that others depend on first.

    compose: trial's overrides → its configuration; each parameter is tried with it. Raises ConfigurationError for
    unknown keys, malformed words, ranges upside down, and keys that only some of the configurations have.
    """
    parameters = [_parameter(text) for text in space]
    _refuse_twice([parameter.key for parameter in parameters])
    parameters = _ordered(_with_conditions(parameters, when))
    _refuse_unknown(parameters, _of_the_space(compose))
    return parameters


def _of_the_space(read: Callable[[Any], dict[str, Any]]) -> Callable[[Any], dict[str, Any]]:
    """What it refuses is told as a mistake in the space."""

    def reading(given: Any) -> dict[str, Any]:
        try:
            return read(given)
        except ValueError as error:
            raise ConfigurationError(f"tune.space: {error}") from error

    return reading


def _parameter(text: str) -> Parameter:
    found = _of_the_space(sweep)(text)
    key, word = found["key"], found["word"]
    if unknown := set(found["tags"]) - {"log"}:
        raise ConfigurationError(f"tune.space: {text}: there is no tag {unknown.pop()}; the one there is, is log")
    if word == "choice":
        return _choice(text, key, found)
    return _range(text, key, found) if word == "range" else _interval(text, key, found)


def _choice(text: str, key: str, found: Mapping[str, Any]) -> Parameter:
    values = found["values"]
    if found["tags"]:
        raise ConfigurationError(f"tune.space: {text}: a choice has no magnitudes; write tag(log, interval(1, 9))")
    if len(set(values)) != len(values):
        raise ConfigurationError(f"tune.space: {text}: a choice names each value once")
    return Parameter(key, "choice", choices=tuple(values))


def _interval(text: str, key: str, found: Mapping[str, Any]) -> Parameter:
    low, high, log = found["start"], found["end"], "log" in found["tags"]
    _refuse_endless(text, low, high)
    _refuse_upside_down(text, low, high, log)
    return Parameter(key, "int" if isinstance(low, int) else "float", low, high, log=log)


def _range(text: str, key: str, found: Mapping[str, Any]) -> Parameter:
    low, stop, step = found["start"], found["stop"], found["step"]
    _refuse_endless(text, low, stop, step)
    if step <= 0 or (stop - low) / step >= ENDLESS:
        raise ConfigurationError(f"tune.space: {text}: a step of {step} leads nowhere; give a larger one, above 0")
    _refuse_upside_down(text, low, stop, log=False)
    if found["tags"]:
        raise ConfigurationError(f"tune.space: {text}: a range has even steps; write tag(log, interval({low}, {stop}))")
    last = low + (math.ceil((stop - low) / step - 1e-9) - 1) * step
    whole = all(isinstance(value, int) for value in (low, stop, step))
    return Parameter(key, "int" if whole else "float", low, last, step=step)


def _refuse_endless(text: str, *numbers: float) -> None:
    for number in numbers:
        if not abs(number) < ENDLESS:
            raise ConfigurationError(f"tune.space: {text}: nothing can be drawn from there to {number}; give a number")


def _refuse_upside_down(text: str, low: float, high: float, log: bool) -> None:
    if not low < high:
        raise ConfigurationError(f"tune.space: {text}: {low} is not below {high}; write the lower one first")
    if log and low <= 0:
        raise ConfigurationError(f"tune.space: {text}: with log the lower end must be above 0, got {low}")


def _refuse_twice(keys: Sequence[str]) -> None:
    twice = {key for key in keys if keys.count(key) > 1}
    if twice:
        raise ConfigurationError(f"tune.space: {min(twice)} is there twice; put all its values into one choice")


def _with_conditions(parameters: Sequence[Parameter], when: Sequence[str]) -> list[Parameter]:
    known = {parameter.key: parameter for parameter in parameters}
    for text in when:
        key, other, values = _condition(text, known)
        allowed = {**known[key].only_if, other: tuple(part.strip() for part in values.split(","))}
        known[key] = replace(known[key], only_if=allowed)
    return list(known.values())


def _condition(text: str, known: Mapping[str, Parameter]) -> tuple[str, str, str]:
    found = CONDITION.fullmatch(text.strip())
    if found is None:
        raise ConfigurationError(f'tune.when: {text}: write it as "optimizers.momentum if optimizers=sgd,lamb"')
    key, other, values = found["key"], found["other"], found["values"]
    for name in (key, other):
        if name not in known:
            raise ConfigurationError(f"tune.when: {text}: {name} is not in tune.space; {nearest(name, list(known))}")
    if known[other].kind != "choice":
        raise ConfigurationError(f"tune.when: {text}: {other} is no choice, so it cannot be told by its values")
    for value in values.split(","):
        if value.strip() not in known[other].choices:
            raise ConfigurationError(
                f"tune.when: {text}: {other} is never {value.strip()}; {nearest(value, list(known[other].choices))}"
            )
    return key, other, values


def _ordered(parameters: Sequence[Parameter]) -> list[Parameter]:
    """Each after those it depends on."""
    done: list[Parameter] = []
    rest = list(parameters)
    while rest:
        ready = [one for one in rest if set(one.only_if) <= {known.key for known in done}]
        if not ready:
            raise ConfigurationError(f"tune.when: {' and '.join(one.key for one in rest)} depend on each other")
        done += ready
        rest = [one for one in rest if one not in ready]
    return done


def _refuse_unknown(parameters: Sequence[Parameter], compose: Compose) -> None:
    """Composes the first configuration, and one with each further value of a choice, the last of a range, one between.

    What depends on others is tried with values that they must have.
    """
    first, known = _first(parameters, {}), {parameter.key: parameter for parameter in parameters}
    _try(parameters, first, compose)
    for parameter in parameters:
        with_it = _enabling(parameter, known)
        if not parameter.is_active(first):
            _try(parameters, _first(parameters, with_it), compose)
        for value in _further(parameter):
            _try(parameters, _first(parameters, with_it | {parameter.key: value}), compose)
        if parameter.looks_whole:
            _refuse_broken(parameters, parameter, with_it, compose)


def _further(parameter: Parameter) -> Sequence[Value]:
    """Beside the first one those that may be refused: of a choice all, of numbers the highest."""
    return parameter.choices[1:] if parameter.kind == "choice" else [parameter.taken(parameter.high)]


def _refuse_broken(parameters: Sequence[Parameter], one: Parameter, with_it: Values, compose: Compose) -> None:
    """A number of an interval that is not whole, as nearly all are, where both of its ends can be taken for whole."""
    try:
        _try(parameters, _first(parameters, with_it | {one.key: one.low + BETWEEN * (one.high - one.low)}), compose)
    except ValueError as error:
        whole = f"int(interval({one.low:g}, {one.high:g}))"
        told = f"tag(log, {whole})" if one.log else whole
        raise ConfigurationError(f"{error}; for whole numbers: {one.key}={told}") from error


def _enabling(parameter: Parameter, known: Mapping[str, Parameter]) -> Values:
    """Values of others with which a parameter is there."""
    values: Values = {}
    for other, allowed in parameter.only_if.items():
        values |= _enabling(known[other], known) | {other: allowed[0]}
    return values


def _first(parameters: Sequence[Parameter], given: Values) -> Values:
    """The first value of every active parameter, with some given."""
    values: Values = {}
    for parameter in parameters:
        if parameter.is_active(values):
            low = parameter.low if parameter.kind == "float" else int(parameter.low)
            own = parameter.choices[0] if parameter.kind == "choice" else low
            values[parameter.key] = given.get(parameter.key, own)
    return values


def _try(parameters: Sequence[Parameter], values: Values, compose: Compose) -> None:
    groups = {key: value for key, value in values.items() if "." not in key}
    there = set(flat_keys(compose(overrides(groups))))
    for key in values:
        if key.replace("/", ".") in there:
            continue
        if key not in known_keys():
            raise ConfigurationError(f"tune.space: {key}: there is no such key; {nearest(key, sorted(there))}")
        told = ", ".join(f"{group}={value}" for group, value in groups.items()) or "this configuration"
        raise ConfigurationError(
            f'tune.space: {key}: {told} has no such key; say when it is there: tune.when=["{key} if GROUP=OPTION"]'
        )
    compose(overrides(values))


def automatic_space(config: Config, candidates: Sequence[str]) -> list[str]:
    """tune.space=auto: the rate and decay around what is configured, and those candidates that the model has."""
    there, optimizer = set(flat_keys(config)), config["optimizers"]
    space = []
    if optimizer.get("option") != "auto":
        space += _around("optimizers.lr", optimizer.get("lr"), RATE_SPAN)
        space += _around("optimizers.weight_decay", optimizer.get("weight_decay"), DECAY_SPAN)
    space += [text for text in candidates if text.partition("=")[0] in there and _is_open(config, text)]
    if not space:
        raise ConfigurationError("tune.space=auto finds nothing to search in this configuration: give tune.space=[…]")
    return space


def _around(key: str, value: Any, span: float) -> list[str]:
    if not isinstance(value, int | float) or value <= 0:
        return []
    return [f"{key}=tag(log, interval({value / span:.3g}, {value * span:.3g}))"]


def _is_open(config: Config, text: str) -> bool:
    """Whether a candidate's key is a plain value that nothing else chooses."""
    node: Any = config
    for part in text.partition("=")[0].split("."):
        node = node[part]
    return node != "auto" and not isinstance(node, dict)


def configured(parameters: Sequence[Parameter], config: Config, groups: Mapping[str, str]) -> Values:
    """The configuration as it stands, as values of the space; empty where one of them lies outside.

    groups: what the groups are set to, such as models: simple_cnn.
    """
    values: Values = {}
    for parameter in parameters:
        if not parameter.is_active(values):
            continue
        value = groups.get(parameter.key, _value(config, parameter.key))
        if not parameter.holds(value):
            return {}
        values[parameter.key] = parameter.taken(value)
    return values


def around(parameters: Sequence[Parameter], config: Config) -> list[Parameter]:
    """The same, each widened to hold what is configured; a range in steps and a value of another kind stay apart."""
    return [_widened(one, _value(config, one.key)) for one in parameters]


def _widened(parameter: Parameter, value: Any) -> Parameter:
    if parameter.kind == "choice":
        return replace(parameter, choices=_in_order(tuple(dict.fromkeys((*parameter.choices, _spelt(value))))))
    is_number = isinstance(value, int if parameter.kind == "int" else int | float) and not isinstance(value, bool)
    if parameter.step is not None or not is_number or (parameter.log and value <= 0):
        return parameter
    return replace(parameter, low=min(parameter.low, value), high=max(parameter.high, value))


def _in_order(choices: tuple[str, ...]) -> tuple[str, ...]:
    """Numbers by their size, as a chart shows them; words as they are."""
    try:
        return tuple(sorted(choices, key=float))
    except ValueError:
        return choices


def _value(config: Config, key: str) -> Any:
    node: Any = config
    for part in key.split("."):
        node = node.get(part) if isinstance(node, dict) else None
    return node
