"""How sure a figure is: Wilson's interval, the bootstrap, and paired comparisons of two models."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy  # loads its parts when they are first used, which a server seldom does
from numpy.typing import NDArray

Array = NDArray[Any]
Totals = Mapping[str, Array]
Statistic = Callable[[Totals], Mapping[str, Array]]

_DRAWS_AT_ONCE = 1 << 22  # weights held at a time: 16 MiB of float32


@dataclass(frozen=True)
class Interval:
    """A figure and the range that holds the true one with the asked confidence."""

    value: float
    low: float
    high: float

    def __post_init__(self) -> None:
        if not self.low <= self.value <= self.high:
            raise ValueError(f"an interval must hold its value, got {self.low} ≤ {self.value} ≤ {self.high}")


@dataclass(frozen=True)
class Intervals:
    """Several figures of one kind, as arrays (count,); NaN where a figure is undefined."""

    value: Array
    low: Array
    high: Array

    def __getitem__(self, number: int) -> Interval | None:
        """One of them, or None where it is undefined."""
        value = float(self.value[number])
        return None if np.isnan(value) else Interval(value, float(self.low[number]), float(self.high[number]))


@dataclass(frozen=True)
class McNemar:
    """Two models on the same images: who was right where the other was wrong."""

    gained: int  # only the first was right
    lost: int  # only the second was right
    images: int
    p: float  # two-sided, exact
    effect: float  # the difference in accuracy that `power` is about
    power: float  # chance that a true difference of `effect` would be found at this size
    detectable: float  # smallest true difference found four times out of five; 1.0 if none is

    @property
    def difference(self) -> float:
        """Accuracy of the first minus accuracy of the second."""
        return (self.gained - self.lost) / self.images


def wilson(successes: int, trials: int, level: float = 0.95) -> Interval:
    """Interval of a share, sound at few trials and near 0 and 1 (Wilson 1927)."""
    if not 0 <= successes <= trials or trials == 0:
        raise ValueError(f"a share needs 0 ≤ successes ≤ trials and trials > 0, got {successes} of {trials}")
    share, z = successes / trials, float(scipy.special.ndtri((1 + level) / 2))
    centre = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    reach = z / (1 + z * z / trials) * np.sqrt(share * (1 - share) / trials + z * z / (4 * trials**2))
    return Interval(share, float(min(max(centre - reach, 0.0), share)), float(max(min(centre + reach, 1.0), share)))


def bootstrap(
    columns: Mapping[str, Any],
    statistic: Statistic,
    rng: np.random.Generator,
    repeats: int = 1000,
    level: float = 0.95,
    pivotal: Collection[str] = (),
) -> dict[str, Intervals]:
    """Intervals of figures that follow from sums over samples (percentile bootstrap, Efron 1979).

    columns: name → (samples, m), dense or scipy-sparse; what each sample adds to the sums.
    statistic: name → (repeats, m) sums to name → (repeats, count) figures. It is called with the true sums for the
    values and with resampled sums for their ranges, so that all the work is matrix products.
    pivotal: names whose range is mirrored at the value (2·value − quantile): for figures that resampling pushes one
    way, such as a calibration error, where the percentile range misses the truth nearly always.
    A figure undefined in some resamples (no sample of the class was drawn) is judged by the others.
    """
    samples = _samples(columns)
    value = statistic({name: _true_sum(column) for name, column in columns.items()})
    chunks = [statistic(_sums(weights, columns)) for weights in _weights(samples, repeats, rng)]
    resampled = {name: np.concatenate([chunk[name] for chunk in chunks]) for name in value}
    return {name: _range(value[name][0], resampled[name], level, name in pivotal) for name in value}


def paired_bootstrap(
    first: Mapping[str, Any],
    second: Mapping[str, Any],
    statistic: Statistic,
    rng: np.random.Generator,
    repeats: int = 1000,
    level: float = 0.95,
) -> dict[str, Intervals]:
    """Intervals of `statistic(first) - statistic(second)`, both measured on the same samples, drawn together.

    first, second: columns as of `bootstrap`, row by row of the same samples.
    """
    if _samples(first) != _samples(second):
        raise ValueError(f"a paired comparison needs the same samples, got {_samples(first)} and {_samples(second)}")

    def difference(totals: Totals) -> dict[str, Array]:
        left = statistic({name[1:]: total for name, total in totals.items() if name[0] == "a"})
        right = statistic({name[1:]: total for name, total in totals.items() if name[0] == "b"})
        return {name: left[name] - right[name] for name in left}

    both = {f"a{name}": column for name, column in first.items()} | {f"b{n}": column for n, column in second.items()}
    return bootstrap(both, difference, rng, repeats, level)


def mcnemar(first_right: Array, second_right: Array, effect: float = 0.01, alpha: float = 0.05) -> McNemar:
    """Exact McNemar test of two models on the same images, and what it could have found at this size.

    first_right, second_right: (images,) bool. The power is for a true difference of `effect` at the share of
    disagreement that was seen (Connor 1987); observed power is left out: it only restates p (Hoenig & Heisey 2001).
    """
    first, second = np.asarray(first_right, bool), np.asarray(second_right, bool)
    if first.shape != second.shape or first.ndim != 1 or first.size == 0:
        raise ValueError(f"McNemar's test needs the same images for both, got {first.shape} and {second.shape}")
    gained, lost = int((first & ~second).sum()), int((~first & second).sum())
    disagreement = (gained + lost) / first.size
    power = mcnemar_power(first.size, disagreement, effect, alpha)
    detectable = _smallest_found(first.size, disagreement, alpha)
    return McNemar(gained, lost, first.size, _two_sided(gained, gained + lost), effect, power, detectable)


def mcnemar_power(images: int, disagreement: float, effect: float, alpha: float = 0.05) -> float:
    """Chance that the exact two-sided test finds a true difference of `effect` (both in shares of all images)."""
    disagreement = min(max(disagreement, abs(effect), 1 / images), 1.0)
    discordant = np.arange(images + 1)
    chance = np.diff(scipy.special.bdtr(discordant, images, disagreement), prepend=0.0)
    likely = chance > 1e-12
    discordant, chance = discordant[likely], chance[likely]
    most_lost = _critical(discordant, alpha)
    better = (disagreement + abs(effect)) / (2 * disagreement)
    found = _below(most_lost, discordant, 1 - better) + _below(most_lost, discordant, better)
    return float(np.clip(chance @ found, 0, 1))


def _samples(columns: Mapping[str, Any]) -> int:
    counts = {name: int(column.shape[0]) for name, column in columns.items()}
    if len(set(counts.values())) != 1 or 0 in counts.values():
        raise ValueError(f"the bootstrap needs columns of one length above zero, got {counts}")
    return next(iter(counts.values()))


def _weights(samples: int, repeats: int, rng: np.random.Generator) -> Iterator[Array]:
    """How often each sample was drawn, some repeats (rows) at a time."""
    step = max(1, _DRAWS_AT_ONCE // samples)
    for start in range(0, repeats, step):
        rows = min(step, repeats - start)
        drawn = rng.integers(samples, size=(rows, samples)) + samples * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * samples).reshape(rows, samples).astype(np.float32)


def _true_sum(column: Any) -> Array:
    return np.asarray(column.sum(axis=0, dtype=np.float64)).reshape(1, -1)


def _sums(weights: Array, columns: Mapping[str, Any]) -> dict[str, Array]:
    return {name: np.asarray(weights @ column) for name, column in columns.items()}


def _range(value: Array, resampled: Array, level: float, pivotal: bool) -> Intervals:
    """Range of each figure, widened to its own value where resampling is biased away from it."""
    defined = ~np.isnan(value) & ~np.isnan(resampled).all(axis=0)
    edges = np.full((2, value.size), np.nan)
    if defined.any():
        edges[:, defined] = np.nanquantile(resampled[:, defined], [(1 - level) / 2, (1 + level) / 2], axis=0)
    if pivotal:
        edges = 2 * value - edges[::-1]
    low, high = np.minimum(edges[0], value), np.maximum(edges[1], value)
    return Intervals(np.where(defined, value, np.nan), low, high)


def _two_sided(gained: int, discordant: int) -> float:
    return min(1.0, 2 * float(scipy.special.bdtr(min(gained, discordant - gained), discordant, 0.5)))


def _critical(discordant: Array, alpha: float) -> Array:
    """Most losses among so many disagreements with which the test still says "different"; -1 if none is few enough."""
    fewest, most = np.full(discordant.shape, -1), discordant // 2
    while (fewest < most).any():
        middle = (fewest + most + 1) // 2
        small = 2 * _below(middle, discordant, 0.5) <= alpha
        fewest, most = np.where(small, middle, fewest), np.where(small, most, middle - 1)
    return fewest


def _below(count: Array, trials: Array, chance: float) -> Array:
    """P(successes ≤ count), 0 for a count of -1."""
    reached: Array = scipy.special.bdtr(np.maximum(count, 0), trials, chance)
    return np.where(count < 0, 0.0, reached)


def _smallest_found(images: int, disagreement: float, alpha: float, wanted: float = 0.8) -> float:
    """Smallest true difference that is found in `wanted` of all cases, by halving."""
    low, high = 0.0, 1.0
    for _ in range(12):
        middle = (low + high) / 2
        low, high = (low, middle) if mcnemar_power(images, disagreement, middle, alpha) >= wanted else (middle, high)
    return high
