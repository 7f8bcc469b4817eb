"""Which configuration promises most, by a Gaussian process over configuration and epoch: stopped trials count, too."""

import math
from collections.abc import Sequence
from random import Random

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.spatial.distance import cdist
from scipy.special import ndtr, ndtri

from tuning.neighbours import drawn, neighbour
from tuning.population import scaled
from tuning.space import Parameter, Value, Values

Floats = NDArray[np.float64]
Curve = Sequence[tuple[int, float]]  # epoch and cost

ANYWHERE, NEARBY = 300, 60  # candidates: in the whole space, and around each of the best
BEST = 5  # trials
LENGTH = 0.7  # of an axis, of which each reaches from 0 to 1
NOISE = 0.003  # of the variance
APART = 4  # a curve is looked at after 1, 4, 16, … epochs and at its end


def promising(
    parameters: Sequence[Parameter], told: Sequence[tuple[Values, Curve]], rng: Random, running: Sequence[Values] = ()
) -> Values:
    """The candidate that should improve most on the best at a training's end (expected improvement, Jones 1998).

    running: of trials that still train, taken to end as the model expects, so that no other one is sent there
    (kriging believer, Ginsbourger et al. 2010).
    """
    last = max(epoch for _, curve in told for epoch, _ in curve)
    seen = [(values, epoch, cost) for values, curve in told for epoch, cost in _looked_at(curve)]
    points = np.array([[*place(parameters, values), _age(epoch, last)] for values, epoch, _ in seen])
    scores = _normal_scores([cost for _, _, cost in seen])
    ended = [values for values, curve in sorted(told, key=lambda one: min(cost for _, cost in one[1]))]
    candidates = _candidates(parameters, ended[:BEST], rng)
    lengths = _lengths(points, scores)
    if running:
        at = _at_the_end(parameters, running)
        believed, _ = _posterior(points, scores, lengths, at)
        points, scores = np.concatenate((points, at)), np.concatenate((scores, believed))
    known = [*ended, *running]
    mean, deviation = _posterior(points, scores, lengths, _at_the_end(parameters, [*known, *candidates]))
    least = float(mean[: len(known)].min())
    return candidates[int(np.argmax(_improvement(mean[len(known) :], deviation[len(known) :], least)))]


def _at_the_end(parameters: Sequence[Parameter], asked: Sequence[Values]) -> Floats:
    """Places of configurations after the last epoch (n, D)."""
    return np.array([[*place(parameters, values), 1.0] for values in asked])


def _looked_at(curve: Curve) -> list[tuple[int, float]]:
    """The least cost until 1, 4, 16, … epochs, and until the last."""
    least = np.minimum.accumulate([cost for _, cost in curve])
    levels = [int(math.log(epoch, APART) + 1e-9) for epoch, _ in curve]
    return [
        (epoch, float(least[at]))
        for at, (epoch, _) in enumerate(curve)
        if at in (0, len(curve) - 1) or levels[at] > levels[at - 1]
    ]


def _age(epoch: int, last: int) -> float:
    """0 after the first epoch, 1 after the last."""
    return 1.0 if epoch == last else math.log(epoch) / math.log(last)


def _normal_scores(costs: Sequence[float]) -> Floats:
    """Costs by rank alone, as a standard normal would have them: one that blew up weighs no more than a bad one."""
    _, place_of, counts = np.unique(costs, return_inverse=True, return_counts=True)
    below = np.cumsum(counts) - counts / 2  # equal costs share the middle of their ranks
    found: Floats = ndtri(below[place_of] / len(costs))
    return found / max(float(found.std()), 1e-9)


def _candidates(parameters: Sequence[Parameter], best: Sequence[Values], rng: Random) -> list[Values]:
    around = [neighbour(parameters, values, rng) for values in [best[0], *best] for _ in range(NEARBY)]
    return [drawn(parameters, rng) for _ in range(ANYWHERE)] + around


def place(parameters: Sequence[Parameter], values: Values) -> list[float]:
    """Where a configuration lies: a number from 0 to 1, choices of numbers in their order, of names each on its axis.

    What a configuration does not have lies in the middle.
    """
    return [number for parameter in parameters for number in _axes(parameter, values.get(parameter.key))]


def _axes(parameter: Parameter, value: Value | None) -> list[float]:
    if parameter.kind != "choice":
        low, high = scaled(parameter, parameter.low), scaled(parameter, parameter.high)
        return [0.5 if value is None else (scaled(parameter, float(value)) - low) / (high - low)]
    if not _are_numbers(parameter.choices):
        return [float(value == name) / math.sqrt(2) for name in parameter.choices]
    order = sorted(parameter.choices, key=float)
    return [0.5 if value is None else order.index(str(value)) / max(len(order) - 1, 1)]


def _are_numbers(choices: Sequence[str]) -> bool:
    try:
        return all(math.isfinite(float(name)) for name in choices)
    except ValueError:
        return False


def _lengths(points: Floats, scores: Floats) -> Floats:
    """Of each axis, along which the process forgets: the likeliest for all, then axis by axis (D,)."""
    alike = np.ones(points.shape[1])
    lengths = _likeliest(points, scores, [LENGTH * factor * alike for factor in (1.0, 0.5, 2.0)])
    for axis in np.eye(len(alike)):
        lengths = _likeliest(points, scores, [lengths * factor**axis for factor in (1.0, 0.5, 2.0, 4.0)])
    return lengths


def _likeliest(points: Floats, scores: Floats, lengths: Sequence[Floats]) -> Floats:
    return max(lengths, key=lambda one: _likelihood(points, scores, one))


def _likelihood(points: Floats, scores: Floats, lengths: Floats) -> float:
    """Its logarithm but for a constant, with the likeliest scale of the costs."""
    root = _root(points, lengths)
    scale = _scale(root, scores)
    return -0.5 * len(scores) * math.log(scale) - float(np.log(np.diag(root)).sum())


def _posterior(points: Floats, scores: Floats, lengths: Floats, asked: Floats) -> tuple[Floats, Floats]:
    """Mean and standard deviation at the places that are asked for (m, D), each (m,)."""
    root = _root(points, lengths)
    scale = _scale(root, scores)
    near = _kernel(asked, points, lengths)
    unknown = 1 - np.square(solve_triangular(root, near.T, lower=True)).sum(0)
    return near @ cho_solve((root, True), scores), np.sqrt(np.maximum(unknown, 1e-9) * scale)


def _scale(root: Floats, scores: Floats) -> float:
    """The likeliest variance, given how they hang together."""
    return max(float(np.square(solve_triangular(root, scores, lower=True)).mean()), 1e-9)


def _root(points: Floats, lengths: Floats) -> Floats:
    found: Floats = cholesky(_kernel(points, points, lengths) + NOISE * np.eye(len(points)), lower=True)
    return found


def _kernel(one: Floats, other: Floats, lengths: Floats) -> Floats:
    """Matérn 5/2 (n, m)."""
    distance = math.sqrt(5) * cdist(one / lengths, other / lengths)
    found: Floats = (1 + distance + distance**2 / 3) * np.exp(-distance)
    return found


def _improvement(mean: Floats, deviation: Floats, best: float) -> Floats:
    """By how much each should be below the best, on average."""
    lead = (best - mean) / deviation
    density = np.exp(-(lead**2) / 2) / math.sqrt(2 * math.pi)
    found: Floats = deviation * (lead * ndtr(lead) + density)
    return found
