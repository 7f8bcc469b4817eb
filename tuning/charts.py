"""The pictures of a search, drawn from its trials."""

import math
import warnings
from collections.abc import Sequence

import numpy as np
import optuna

from tuning.records import Trial
from tuning.searcher import distribution
from tuning.space import Parameter, Value
from tuning.study import Study
from utils.charts import Axis, Chart, Series

LEAST_FOR_IMPORTANCE = 4  # trials that came equally far
MAGNITUDES = 20.0
BEST_SHARE = 4  # one trial in so many is drawn as one of the best


def history_chart(study: Study) -> Chart:
    """The main objective of trials that did not fail, and the best so far of those that keep the constraints."""
    goal = study.goal
    found = [(one.number + 1, one, one.costs(goal)[0]) for one in sorted(study.ranked(), key=lambda one: one.number)]
    whole = [one for one in found if one[1].state == "complete"]
    others = [one for one in found if one[1].state != "complete"]
    kept = [(number, cost) for number, trial, cost in found if goal.is_kept(trial.best(goal))]
    best = np.minimum.accumulate([cost for _, cost in kept]).tolist()
    series = (
        Series("best so far", [number for number, _ in kept], [goal.main.told(cost) for cost in best], "accent"),
        _points("complete", whole, study, "val"),
        _points("stopped", others, study, "train"),
    )
    used = tuple(one for one in series if len(one.x))
    return Chart("search_history", "History", used, Axis("trial", whole=True), figure_axis(goal.main.figure, used))


def figure_axis(label: str, series: Sequence[Series]) -> Axis:
    """Logarithmic where the values span magnitudes, as losses do: else the good ones would lie on one line."""
    values = [float(value) for one in series for value in one.y if math.isfinite(value)]
    return Axis(label, log=bool(values) and min(values) > 0 and max(values) > MAGNITUDES * min(values))


def _points(name: str, found: Sequence[tuple[int, Trial, float]], study: Study, color: str) -> Series:
    x, y = [number for number, *_ in found], [study.goal.main.told(cost) for *_, cost in found]
    return Series(name, x, y, color, "points")


def curves_chart(study: Study) -> Chart:
    """The main objective over the epochs; a point is where a trial was stopped."""
    figure, best = study.goal.main.figure, study.best()
    lines = [(trial, [(epoch, seen[figure]) for epoch, seen in trial.curve if figure in seen]) for trial in study.ended]
    lines = [(trial, line) for trial, line in lines if line]
    stops = [line[-1] for trial, line in lines if trial.state == "stopped"]
    series = (
        _lines("trials", [line for trial, line in lines if trial is not best], "train"),
        _lines("the best", [line for trial, line in lines if trial is best], "accent"),
        Series("stopped", [epoch for epoch, _ in stops], [value for _, value in stops], "wrong", "points"),
    )
    used = tuple(one for one in series if len(one.x))
    return Chart("search_curves", "Learning curves", used, Axis("epoch", whole=True), figure_axis(figure, used))


def _lines(name: str, lines: Sequence[Sequence[tuple[float, float]]], color: str) -> Series:
    """Several lines as one series, a gap between them."""
    x = [point[0] for line in lines for point in (*line, line[-1])]
    y = [value for line in lines for value in (*(point[1] for point in line), math.nan)]
    return Series(name, x, y, color, "marked" if lines and max(map(len, lines)) == 1 else "line")


def parallel_chart(study: Study) -> Chart | None:
    """Parallel coordinates: a line a trial across all parameters, each from its low end (0) to its high one (1)."""
    parameters = [one for one in study.problem.parameters if not one.only_if]
    ranked = study.ranked()
    if len(parameters) < 2 or not ranked:
        return None
    names = [f"{place}. {one.key.rpartition('.')[2]}" for place, one in enumerate(parameters, 1)]
    few = max(1, len(ranked) // BEST_SHARE)
    series = (
        _crossing("others", ranked[few:], parameters, names, "train"),
        _crossing(f"the best {few}", ranked[:few], parameters, names, "accent"),
    )
    used = tuple(one for one in series if len(one.x))
    axis = Axis("parameter", categories=tuple(names))
    return Chart("search_parallel", "Parallel coordinates", used, axis, Axis("place in its range", range=(-0.05, 1.05)))


def _crossing(
    name: str, trials: Sequence[Trial], parameters: Sequence[Parameter], names: Sequence[str], color: str
) -> Series:
    x = [label for _ in trials for label in (*names, names[-1])]
    y = [
        height
        for trial in trials
        for height in (*(place_of(one, trial.values[one.key]) for one in parameters), math.nan)
    ]
    return Series(name, x, y, color)


def place_of(parameter: Parameter, value: Value) -> float:
    """Where in its range a value lies, from 0 to 1."""
    if parameter.kind == "choice":
        return parameter.choices.index(str(value)) / max(1, len(parameter.choices) - 1)
    low, high, at = parameter.low, parameter.high, float(value)
    if parameter.log:
        low, high, at = math.log(low), math.log(high), math.log(at)
    return (at - low) / (high - low)


def importance_chart(study: Study) -> Chart | None:
    """How much each parameter mattered, by PED-ANOVA (Watanabe et al. 2023); None where too few trials say so."""
    found = importances(study)
    if not found:
        return None
    names = tuple(key.rpartition(".")[2] for key in found)
    if len(set(names)) < len(names):
        names = tuple(found)
    series = Series("importance", names, list(found.values()), "accent", "bar")
    return Chart("search_importance", "Importance", (series,), Axis(categories=names), Axis(percent=True))


def importances(study: Study) -> dict[str, float]:
    """Share of each parameter, the largest first.

    Trials are compared at the last epoch that half of them reached, since those stopped early are worse only in part
    for their values. Parameters that only some trials have are left out.
    """
    parameters = [one for one in study.problem.parameters if not one.only_if]
    trials = [trial for trial in study.ended if trial.curve]
    if len(trials) < LEAST_FOR_IMPORTANCE or len(parameters) < 2:
        return {}
    epoch = sorted(trial.epochs for trial in trials)[-max(LEAST_FOR_IMPORTANCE, len(trials) // 2)]
    scratch = optuna.create_study()
    for trial in trials:
        costs = [study.goal.main.cost(seen) for at, seen in trial.curve if at <= epoch]
        if trial.epochs >= epoch and costs and math.isfinite(costs[-1]):
            values = {one.key: trial.values[one.key] for one in parameters}
            kinds = {one.key: distribution(one) for one in parameters}
            scratch.add_trial(optuna.trial.create_trial(value=costs[-1], params=values, distributions=kinds))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of few trials, which the page says by their number
        found = optuna.importance.get_param_importances(scratch) if len(scratch.trials) >= LEAST_FOR_IMPORTANCE else {}
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def front(study: Study) -> list[Trial]:
    """The trials that no other beats in every objective, among those that keep the constraints."""
    goal = study.goal
    able = [one for one in study.ranked() if one.state == "complete" and goal.is_kept(one.best(goal))]
    costs = {trial.number: np.array(trial.costs(goal)) for trial in able}
    return [
        trial
        for trial in able
        if not any(
            (costs[other] <= costs[trial.number]).all() and (costs[other] < costs[trial.number]).any()
            for other in costs
        )
    ]


def front_chart(study: Study) -> Chart:
    """The first two objectives against each other, with the Pareto front."""
    first, second = study.goal.objectives[:2]
    edge = sorted((one.best(study.goal) for one in front(study)), key=lambda seen: seen[first.figure])
    others = [one.best(study.goal) for one in study.ranked()]
    others = [seen for seen in others if second.figure in seen and seen not in edge]
    series = (
        Series(
            "trials", [one[first.figure] for one in others], [one[second.figure] for one in others], "train", "points"
        ),
        Series(
            "Pareto front",
            [one[first.figure] for one in edge],
            [one[second.figure] for one in edge],
            "accent",
            "marked",
        ),
    )
    used = tuple(one for one in series if len(one.x))
    return Chart("search_front", "Pareto front", used, Axis(first.figure), Axis(second.figure))
