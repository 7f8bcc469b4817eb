"""tune.backend=ray: trials side by side on this machine or a cluster, by Ray Tune.

Ray Tune places trials, keeps workers alive and starts what died with one of them again. What is tried next and when a
trial stops is the study's, as with the other backend; Ray's own searchers tell Optuna that stopped trials are complete.
"""

import logging
import tempfile
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import ray
from ray import tune

from tuning.interruption import SearchInterrupted
from tuning.orders import MOST_DEATHS
from tuning.ray_population import Population
from tuning.ray_roles import Asking, Telling, config_of
from tuning.ray_worker import trainable
from tuning.results import load_the_page
from tuning.settings import TuneSettings
from tuning.study import Study
from utils import ray_session

log = logging.getLogger(__name__)

STOPPING_S = 120  # that a worker gets to leave a stopped trial; later it is started anew
KEPT_STATES = 4  # of each trial of a population

ENVIRONMENT = {
    "RAY_AIR_NEW_OUTPUT": "0",  # Ray's own tables
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # it would end running trials as if they had been stopped for their figures
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_FUNCTION_THREAD_TIMEOUT_S": str(STOPPING_S),
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",  # the journal remembers, not Ray
    "TUNE_WARN_THRESHOLD_S": "60",
}


def search(study: Study) -> None:
    """Runs trials until the study is over. Raises ValueError where the machine or cluster cannot hold one trial."""
    try:
        _run(study)
    except ray_session.Terminated as stop:
        raise SearchInterrupted(stop.number, len(study.ended)) from None


def _run(study: Study) -> None:
    threading.Thread(target=load_the_page, daemon=True).start()  # Ray's own processes start meanwhile
    with connected(study.settings), storage(study) as place:
        resources = resources_of(study)
        at_once = _at_once(resources)
        log.info("trials at once: %d, each on %s", at_once, ", ".join(f"{n:g} {kind}" for kind, n in resources.items()))
        tried = _population(study) if study.settings.scheduler == "pbt" else _one_by_one(study, at_once)
        tune.Tuner(
            tune.with_resources(trainable, resources),
            **tried,
            run_config=tune.RunConfig(
                storage_path=place,
                verbose=0,
                failure_config=tune.FailureConfig(max_failures=MOST_DEATHS),
                checkpoint_config=tune.CheckpointConfig(num_to_keep=KEPT_STATES),
            ),
        ).fit()


def _one_by_one(study: Study, at_once: int) -> dict[str, Any]:
    """Each trial is asked for when there is room for it."""
    return {
        "tune_config": tune.TuneConfig(
            search_alg=Asking(study),
            scheduler=Telling(study),
            num_samples=-1,
            max_concurrent_trials=at_once,
            reuse_actors=True,
            trial_dirname_creator=_dirname,
        )
    }


def _population(study: Study) -> dict[str, Any]:
    """All trials from the beginning, which train by turns where there is not room for all of them."""
    orders = list(iter(study.next, None))
    return {
        "param_space": {"trial": tune.grid_search([config_of(order)["trial"] for order in orders])},
        "tune_config": tune.TuneConfig(scheduler=Population(study), reuse_actors=True, trial_dirname_creator=_dirname),
    }


def _dirname(trial: Any) -> str:
    return str(trial.trial_id)


@contextmanager
def storage(study: Study) -> Iterator[str]:
    """Ray's own files, for as long as the search lasts: beside the search, where every node of a cluster finds the
    states that trials take over from each other."""
    parent = study.place if study.settings.scheduler == "pbt" else Path(tempfile.gettempdir())
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="evergreen-tune-", dir=parent) as place:
        yield place


def connected(settings: TuneSettings) -> AbstractContextManager[None]:
    """Ray for a search, for as long as it lasts."""
    return ray_session.connected(settings.address, "tune.address", token=settings.token, environment=ENVIRONMENT)


def resources_of(study: Study) -> dict[str, float]:
    """Of one trial; settles how many GPUs it has. Raises ValueError where not even one trial fits."""
    settings, there = study.settings, ray.cluster_resources()
    usable = there.get("GPU", 0.0) if study.problem.config["trainer"]["accelerator"] != "cpu" else 0.0
    asked = settings.gpus_per_trial
    study.gpus = min(1.0, usable) if asked == "auto" else float(asked)
    found = {"CPU": settings.cpus_per_trial, "GPU": study.gpus}
    for kind, key in (("GPU", "gpus_per_trial"), ("CPU", "cpus_per_trial")):
        if found[kind] > there.get(kind, 0.0):
            raise ValueError(
                f"tune.{key}={found[kind]:g} but there are {there.get(kind, 0.0):g} {kind}s: "
                f"use {there.get(kind, 0.0):g} at most"
            )
    return {kind: count for kind, count in found.items() if count}


def _at_once(resources: dict[str, float]) -> int:
    """How many trials fit, counted node by node; at least one, on a node that may still come."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return max(
        1, sum(int(min(node.get(kind, 0) / count for kind, count in resources.items()) + 1e-9) for node in nodes)
    )
