"""How others would search: Ray Tune as it comes, plain Optuna with TPE and Hyperband, and chance."""

import sys
import tempfile
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import optuna

from benchmarks.tuning_table import BATCHES, DECAYS, DROPOUTS, EPOCHS, RATES, WIDTHS, Values
from utils.configuration import absolute, composed

Evaluate = Callable[[Values], Iterator[tuple[int, float]]]  # epoch and cost, until the epochs are used up


class UsedUp(Exception):
    """All epochs of the comparison are spent."""


def plain_optuna(evaluate: Evaluate, seed: int) -> None:
    """Optuna's TPE and Hyperband pruner, with their defaults."""
    pruner = optuna.pruners.HyperbandPruner(1, EPOCHS, 3)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed), pruner=pruner)

    def objective(trial: optuna.Trial) -> float:
        cost = np.inf
        for epoch, cost in evaluate(_suggested(trial)):
            trial.report(cost, epoch)
            if trial.should_prune():
                raise optuna.TrialPruned
        return cost

    try:
        study.optimize(objective)
    except UsedUp:
        return


def _suggested(trial: optuna.Trial) -> Values:
    return Values(
        trial.suggest_float("lr", RATES[0], RATES[-1], log=True),
        trial.suggest_float("weight_decay", DECAYS[0], DECAYS[-1], log=True),
        trial.suggest_float("dropout", DROPOUTS[0], DROPOUTS[-1]),
        trial.suggest_categorical("batch_size", BATCHES),
        trial.suggest_categorical("width", WIDTHS),
    )


def ray_default(evaluate: Evaluate, seed: int) -> None:
    """Ray's OptunaSearch and ASHAScheduler with their defaults, told what Ray Tune's controller tells them."""
    from ray import tune
    from ray.tune.schedulers import ASHAScheduler
    from ray.tune.search.optuna import OptunaSearch

    space = {
        "lr": tune.loguniform(RATES[0], RATES[-1]),
        "weight_decay": tune.loguniform(DECAYS[0], DECAYS[-1]),
        "dropout": tune.uniform(DROPOUTS[0], DROPOUTS[-1]),
        "batch_size": tune.choice(BATCHES),
        "width": tune.choice(WIDTHS),
    }
    searcher = OptunaSearch(space, metric="cost", mode="min", seed=seed)
    scheduler = ASHAScheduler(metric="cost", mode="min", max_t=EPOCHS)
    controller: Any = None  # neither of them looks at it
    number = 0
    try:
        while True:
            trial: Any = SimpleNamespace(trial_id=str(number))
            number += 1
            values = Values(**(searcher.suggest(trial.trial_id) or {}))
            scheduler.on_trial_add(controller, trial)
            result: dict[str, float] = {}
            for epoch, cost in evaluate(values):
                result = {"training_iteration": epoch, "cost": cost}
                if scheduler.on_trial_result(controller, trial, result) == scheduler.STOP:
                    break
                searcher.on_trial_result(trial.trial_id, result)
            scheduler.on_trial_complete(controller, trial, result)
            searcher.on_trial_complete(trial.trial_id, result)
    except UsedUp:
        return


def chance(evaluate: Evaluate, seed: int) -> None:
    """Random search, every trial in full."""
    rng = np.random.default_rng(seed)
    try:
        while True:
            rate, decay = (float(np.exp(rng.uniform(np.log(part[0]), np.log(part[-1])))) for part in (RATES, DECAYS))
            dropped = float(rng.uniform(DROPOUTS[0], DROPOUTS[-1]))
            for _ in evaluate(Values(rate, decay, dropped, int(rng.choice(BATCHES)), int(rng.choice(WIDTHS)))):
                pass
    except UsedUp:
        return


def train_in_ray(config: dict[str, Any]) -> None:
    """A trial as a user of Ray Tune writes it: the project's own training, reporting after each epoch."""
    import json

    from ray import tune

    from tuning.orders import Order
    from tuning.trial import run_trial

    values = {key: value for key, value in config.items() if key != "base"}
    whole = absolute(composed(config["base"], [f"{key}={value}" for key, value in values.items()]))
    whole["callback"] |= {"checkpoints": None}

    def report(epoch: int, figures: dict[str, float]) -> bool:
        tune.report({"epoch": epoch, **{name.replace("/", "_"): value for name, value in figures.items()}})
        return True

    ending = run_trial(Order(0, whole, tempfile.mkdtemp()), report)
    if ending.error:
        raise RuntimeError(json.dumps(ending.error))


def search_with_ray(trials: int, epochs: int, base: list[str]) -> None:
    """Ray Tune's default set-up: OptunaSearch and ASHA as `tune.trials` of this project, all else as it comes."""
    from ray import tune
    from ray.tune.schedulers import ASHAScheduler
    from ray.tune.search.optuna import OptunaSearch

    space = {
        "base": base,
        "optimizers.lr": tune.loguniform(1e-4, 1e-2),
        "optimizers.weight_decay": tune.loguniform(5e-3, 0.5),
        "datamodule.batch_size": tune.choice([32, 64, 128]),
        "models.num_filters": tune.choice([4, 8, 16]),
        "models.dropout": tune.uniform(0.0, 0.5),
    }
    scheduler = ASHAScheduler(time_attr="epoch", max_t=epochs, grace_period=1, reduction_factor=4)
    config = tune.TuneConfig(
        metric="val_loss", mode="min", search_alg=OptunaSearch(seed=0), scheduler=scheduler, num_samples=trials
    )
    found = tune.Tuner(train_in_ray, param_space=space, tune_config=config).fit()
    table = found.get_dataframe()
    print(
        f"{len(table)} trials, {found.num_errors} errors, best {table.val_loss.min():.4f}, {table.epoch.sum()} epochs"
    )


if __name__ == "__main__":
    search_with_ray(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
