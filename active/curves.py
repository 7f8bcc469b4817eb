"""Labels against accuracy: means and ranges over seeds, area under the log-curve, and the labels that were saved."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from active.view import Array
from utils.statistics import Interval


@dataclass(frozen=True, eq=False)
class Curve:
    """A strategy's accuracy after so many labels. labels: (points,). accuracy: (seeds, points)."""

    name: str
    labels: Array
    accuracy: Array

    @property
    def mean(self) -> Array:
        average: Array = self.accuracy.mean(axis=0)
        return average

    @property
    def ranges(self) -> tuple[Array, Array]:
        """95 % range of the mean over seeds (Student); NaN for one seed."""
        reach = spread(self.accuracy)
        return self.mean - reach, self.mean + reach

    @property
    def area(self) -> Array:
        """(seeds,) mean accuracy over the logarithm of the labels."""
        if len(self.labels) < 2:
            return np.asarray(self.accuracy[:, 0])
        steps = np.log(self.labels)
        found: Array = np.trapezoid(self.accuracy, steps, axis=1) / (steps[-1] - steps[0])
        return found

    def labels_to(self, accuracy: float) -> int | None:
        """The fewest labels with which the mean reaches it."""
        reached = np.flatnonzero(self.mean >= accuracy - 1e-12)
        return int(self.labels[reached[0]]) if len(reached) else None


def curve_of(name: str, seeds: Sequence[Sequence[tuple[int, float]]]) -> Curve:
    """seeds: for each one the (labels, accuracy) of its rounds. Only label counts that all seeds have are kept."""
    shared = sorted(set.intersection(*({labels for labels, _ in rounds} for rounds in seeds)))
    accuracy = [[dict(rounds)[labels] for labels in shared] for rounds in seeds]
    return Curve(name, np.array(shared, float), np.array(accuracy, float).reshape(len(seeds), len(shared)))


def spread(samples: Array) -> Array:
    """Half the 95 % range of the mean of each column (seeds, points); NaN for one seed."""
    seeds = len(samples)
    if seeds < 2:
        return np.full(samples.shape[1:], np.nan)
    reach: Array = samples.std(axis=0, ddof=1) / np.sqrt(seeds) * student.ppf(0.975, seeds - 1)
    return reach


def difference(first: Array, second: Array) -> Interval | None:
    """Mean of the paired differences over seeds with its 95 % range; None for one seed. first, second: (seeds,)."""
    if len(first) < 2 or len(first) != len(second):
        return None
    apart = first - second
    mean, reach = float(apart.mean()), float(spread(apart[:, None])[0])
    return Interval(mean, mean - reach, mean + reach)


@dataclass(frozen=True)
class Saved:
    """What a strategy needs where the reference needs more. labels: None where it never gets there."""

    accuracy: float
    labels: int | None
    reference: int

    def __str__(self) -> str:
        if self.labels is None:
            return f"{self.accuracy:.1%} is not reached, random took {self.reference} labels"
        share = 1 - self.labels / self.reference
        return f"{self.accuracy:.1%} takes {self.labels} labels instead of {self.reference}: {share:.0%} saved"


def saved(curve: Curve, reference: Curve) -> list[Saved]:
    """At round levels that the reference reaches, and at its best."""
    best = float(reference.mean.max())
    levels = [level for level in (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99) if level <= best]
    found = []
    for level in [*levels[-3:], best]:
        needed = reference.labels_to(level)
        assert needed is not None
        found.append(Saved(level, curve.labels_to(level), needed))
    return found
