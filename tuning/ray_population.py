"""tune.scheduler=pbt on Ray: Ray decides who takes over whose weights, the study with which values."""

import json
from random import Random
from typing import Any

from ray.tune.schedulers import PopulationBasedTraining

from tuning.orders import Ending, dead
from tuning.population import explored
from tuning.ray_roles import Unpickled, config_of, number_of
from tuning.study import Study


class Population(Unpickled, PopulationBasedTraining):
    """Trials that train by turns; at the end of a turn one of the worst goes on from one of the best."""

    def __init__(self, study: Study) -> None:
        super().__init__(
            time_attr="epoch",
            metric="cost",
            mode="min",
            perturbation_interval=study.settings.perturb_epochs,
            burn_in_period=study.settings.grace_epochs,
            custom_explore_fn=dict,  # asked for, not called: values are explored by `_get_new_config`
            log_config=False,
        )
        self.study, self.taken = study, 0

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        number = number_of(trial.config)
        if "ending" in result:
            self.study.end(number, Ending(**json.loads(result["ending"])))
            return str(self.STOP)
        figures = json.loads(result["figures"])
        if not self.study.report(number, result["epoch"], figures):
            self.study.end(number, Ending(stopped=True))
            return str(self.STOP)
        if result["epoch"] >= self.study.problem.epochs:
            return str(self.CONTINUE)
        return str(
            super().on_trial_result(tune_controller, trial, result | {"cost": self.study.goal.main.cost(figures)})
        )

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        self.study.end(number_of(trial.config), dead())

    def _get_new_config(self, trial: Any, trial_to_clone: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Ray's hook for what a trial goes on with: the other's values, explored."""
        number, other = number_of(trial.config), number_of(trial_to_clone.config)
        epoch = int(self._trial_state[trial_to_clone].last_train_time)
        rng = Random(f"{self.study.searcher.seed} {number} {self.taken}")
        self.taken += 1
        values = explored(self.study.problem.parameters, self.study.trials[other].values, rng)
        return config_of(self.study.take_over(number, other, epoch, values)), {}
