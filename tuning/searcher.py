"""Which configuration to try next, by Optuna; told what became of each trial as it is, stopped ones as pruned."""

import math
import warnings
from collections.abc import Sequence
from random import Random
from typing import Any

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import TrialState, create_trial

from tuning import bayesopt
from tuning.grid import grid
from tuning.objectives import Goal
from tuning.records import Trial
from tuning.settings import OF_A_WHOLE_TRIAL
from tuning.settings import Searcher as Name
from tuning.space import Parameter, Value, Values
from tuning.surrogate import promising

optuna.logging.set_verbosity(optuna.logging.ERROR)  # its hints of packages are not for who searches
STARTUP = 5  # trials by chance before a model of the space is believed
FEWEST, MOST = 8, 200  # trials whose curves are modelled; of more the latest, the time grows with their cube
ENOUGH = 12  # trials at one epoch to be compared there


class Searcher:
    """Suggests values trial by trial.

    A suggestion depends on the seed, its number, the trials told so far and those that still train, so a search that
    goes on after a kill suggests what the undisturbed one would have. first: what the first trial has, if anything.
    """

    def __init__(
        self, name: Name, parameters: Sequence[Parameter], goal: Goal, seed: int, first: Values | None = None
    ) -> None:
        self.name, self.parameters, self.goal, self.seed = name, parameters, goal, seed
        self.first = first or {}
        found = grid(parameters) if name == "grid" else []
        self.grid = Random(seed).sample(found, len(found))  # a part of them is no corner
        self.told: list[Trial] = []
        self.open: dict[int, Trial] = {}

    @property
    def most_trials(self) -> int | None:
        """How many different configurations there are, where they are counted."""
        return len(self.grid) if self.name == "grid" else None

    def suggest(self, number: int, values: Values | None = None) -> Values:
        """The values of a trial. values: given from outside, such as those of a trial that was interrupted."""
        given = values or (self.grid[number] if self.grid else self.first if number == 0 else {})
        study = self.study(self._rung())
        study.sampler = self._sampler(number)
        given = given or self._given(study, number)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            if given:
                study.enqueue_trial(dict(given))
            found = self._drawn(study.ask())
        self.open[number] = Trial(number, found)
        return found

    def tell(self, trial: Trial) -> None:
        """What became of a trial, one of this process or of a former one."""
        self.open.pop(trial.number, None)
        self.told.append(trial)

    def study(self, rung: int | None = None) -> optuna.Study:
        """All trials as Optuna has them: whole ones complete, stopped ones pruned with their intermediate values.

        rung: an epoch; trials that came there are complete with their best until then.
        """
        study = optuna.create_study(directions=["minimize"] * len(self.goal.objectives))
        study.add_trials([self._frozen(trial, rung) for trial in [*self.told, *self.open.values()]])
        return study

    def _rung(self) -> int | None:
        """The epoch at which trials are compared: the last one that enough of them reached (BOHB, Falkner et al. 2018).

        Else the few trials that happened to go on first would count as the best for as long as the search lasts.
        """
        epochs = sorted((trial.epochs for trial in self.told if trial.curve), reverse=True)
        if len(self.goal.objectives) > 1 or self.goal.main.figure in OF_A_WHOLE_TRIAL or not epochs:
            return None
        return epochs[min(ENOUGH, len(epochs)) - 1]

    def _given(self, study: optuna.Study, number: int) -> Values:
        """What is not left to the sampler."""
        if self.name == "bayesopt":
            return self._by_bayesopt(study, number)
        return self._promising(number) if self.name == "tpe" and number % 2 else {}

    def _promising(self, number: int) -> Values:
        """TPE's every second suggestion, once there are enough: it sees neither interactions nor unfinished curves."""
        known = [trial for trial in self.told if trial.curve and (trial.diverged or not trial.error)]
        of_a_whole = self.goal.main.figure in OF_A_WHOLE_TRIAL
        if len(known) < FEWEST or len(self.goal.objectives) > 1 or self.goal.constraints or of_a_whole:
            return {}
        told = [(trial.values, self._curve(trial)) for trial in known[-MOST:]]
        running = [one.values for one in self.open.values()]
        return promising(self.parameters, told, Random(f"{self.seed} {number}"), running)

    def _curve(self, trial: Trial) -> list[tuple[int, float]]:
        """Epochs and costs; infinite where it diverged, so that the model keeps away from there."""
        costs = [(epoch, self.goal.main.cost(figures)) for epoch, figures in trial.curve]
        return [(epoch, math.inf if trial.diverged or math.isnan(cost) else cost) for epoch, cost in costs]

    def _by_bayesopt(self, study: optuna.Study, number: int) -> Values:
        """Nothing, which is chance, before enough trials have been told."""
        told = [(one.params, float(one.values[0])) for one in study.get_trials(states=[TrialState.COMPLETE])]
        if len(told) < STARTUP:
            return {}
        pending = [one.values for one in self.open.values()]
        return bayesopt.suggested(self.parameters, told, pending, self._seed(number))

    def _seed(self, number: int) -> int:
        return int(np.random.SeedSequence((self.seed, number)).generate_state(1)[0])

    def _drawn(self, trial: optuna.Trial) -> Values:
        values: Values = {}
        for parameter in self.parameters:
            if parameter.is_active(values):
                values[parameter.key] = _suggested(trial, parameter)
        return values

    def _sampler(self, number: int) -> optuna.samplers.BaseSampler:
        seed = self._seed(number)
        if self.name in ("random", "grid", "bayesopt"):
            return optuna.samplers.RandomSampler(seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            if self.name == "gp":
                return optuna.samplers.GPSampler(seed=seed, n_startup_trials=STARTUP, warn_independent_sampling=False)
            conditional = any(parameter.only_if for parameter in self.parameters)
            return optuna.samplers.TPESampler(
                seed=seed, n_startup_trials=STARTUP, multivariate=conditional or None, group=conditional
            )

    def _frozen(self, trial: Trial, rung: int | None) -> optuna.trial.FrozenTrial:
        held = {one.key: distribution(one) for one in self.parameters if one.key in trial.values}
        state, costs = self._state(trial, rung)
        return create_trial(
            state=state,
            values=costs if state is TrialState.COMPLETE else None,
            params=dict(trial.values),
            distributions=held,
            intermediate_values=self._intermediate(trial) if len(self.goal.objectives) == 1 else {},
            constraints=self._constraints(trial) if state is TrialState.COMPLETE else None,
        )

    def _state(self, trial: Trial, rung: int | None) -> tuple[TrialState, list[float]]:
        """A trial that diverged is pruned with nothing to show for it: the searcher keeps away from there."""
        if trial.state == "running":
            return TrialState.RUNNING, []
        if trial.state == "failed":
            return (TrialState.PRUNED if trial.diverged else TrialState.FAIL), []
        costs = trial.costs(self.goal)
        whole = trial.state == "complete"
        if rung is not None:
            seen = [self.goal.main.cost(figures) for epoch, figures in trial.curve if epoch <= rung]
            whole, costs = trial.epochs >= rung, [min(seen, default=math.nan)]
        known = not any(math.isnan(cost) for cost in costs)
        return (TrialState.COMPLETE if whole and known else TrialState.PRUNED), costs

    def _intermediate(self, trial: Trial) -> dict[int, float]:
        return {} if trial.diverged else {epoch: self.goal.main.cost(figures) for epoch, figures in trial.curve}

    def _constraints(self, trial: Trial) -> dict[str, float]:
        found = trial.best(self.goal)
        return {str(limit): limit.excess(found) for limit in self.goal.constraints if limit.figure in found}


def distribution(parameter: Parameter) -> BaseDistribution:
    """A parameter as Optuna has it."""
    if parameter.kind == "choice":
        return CategoricalDistribution(parameter.choices)
    if parameter.kind == "int":
        return IntDistribution(int(parameter.low), int(parameter.high), parameter.log, int(parameter.step or 1))
    return FloatDistribution(parameter.low, parameter.high, parameter.log, parameter.step)


def _suggested(trial: optuna.Trial, parameter: Parameter) -> Value:
    found: Any = trial._suggest(parameter.key, distribution(parameter))
    return found
