"""tune.backend=ray: trials side by side on this machine or a cluster, by Ray Tune.

Ray Tune places trials, keeps workers alive and starts what died with one of them again. What is tried next and when a
trial stops is the study's, as with the other backend; Ray's own searchers tell Optuna that stopped trials are complete.
"""

import json
import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import ray
from ray import tune
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher

from tuning.ray_worker import trainable
from tuning.settings import TuneSettings
from tuning.study import Study
from tuning.trial import Ending
from utils.build import ROOT

log = logging.getLogger(__name__)

MOST_DEATHS = 3  # of a trial's worker; then the trial has failed
STOPPING_S = 120  # that a worker gets to leave a stopped trial; later it is started anew
OBJECTS_BYTES = 200 * 2**20  # of Ray's shared memory: orders and figures alone go through it

ENVIRONMENT = {
    "RAY_AIR_NEW_OUTPUT": "0",  # Ray's own tables
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_FUNCTION_THREAD_TIMEOUT_S": str(STOPPING_S),
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",  # the journal remembers, not Ray
    "TUNE_WARN_THRESHOLD_S": "60",
}


def search(study: Study) -> None:
    """Runs trials until the study is over. Raises ValueError where the machine or cluster cannot hold one trial."""
    with connected(study.settings), tempfile.TemporaryDirectory(prefix="evergreen-tune-") as storage:
        resources = resources_of(study)
        at_once = _at_once(resources)
        log.info("trials at once: %d, each on %s", at_once, ", ".join(f"{n:g} {kind}" for kind, n in resources.items()))
        tune.Tuner(
            tune.with_resources(trainable, resources),
            tune_config=tune.TuneConfig(
                search_alg=Asking(study),
                scheduler=Telling(study),
                num_samples=-1,
                max_concurrent_trials=at_once,
                reuse_actors=True,
                trial_dirname_creator=lambda trial: str(trial.trial_id),
            ),
            run_config=tune.RunConfig(
                storage_path=storage, verbose=0, failure_config=tune.FailureConfig(max_failures=MOST_DEATHS)
            ),
        ).fit()


@contextmanager
def connected(settings: TuneSettings) -> Iterator[None]:
    """Ray: the cluster that is named, what this process has already, or one of its own for as long as this lasts."""
    os.environ.update(ENVIRONMENT)
    if not settings.token and settings.address is None:
        os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    had = ray.is_initialized()
    if not had:
        _connect(settings)
    try:
        yield
    finally:
        if not had:
            ray.shutdown()


def _connect(settings: TuneSettings) -> None:
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": True}
    if settings.address is None:
        ray.init("local", include_dashboard=False, object_store_memory=OBJECTS_BYTES, **quiet)
        return
    path = os.pathsep.join(part for part in (str(ROOT), os.environ.get("PYTHONPATH", "")) if part)
    try:
        ray.init(settings.address, runtime_env={"env_vars": {**ENVIRONMENT, "PYTHONPATH": path}}, **quiet)
    except ConnectionError as error:
        raise ValueError(
            f"tune.address={settings.address}: no Ray cluster answers there; start one with `ray start --head`, "
            "or leave the address out"
        ) from error


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
                f"use {there.get(kind, 0.0):g} or less"
            )
    return {kind: count for kind, count in found.items() if count}


def _at_once(resources: dict[str, float]) -> int:
    """How many trials fit, counted node by node; at least one, on a node that may still come."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return max(
        1, sum(int(min(node.get(kind, 0) / count for kind, count in resources.items()) + 1e-9) for node in nodes)
    )


class Unpickled:
    """Ray pickles its helpers to restore them; a search goes on by its journal instead, so nothing is handed out."""

    def __reduce__(self) -> tuple[type[object], tuple[()]]:
        return object, ()

    def __deepcopy__(self, memo: dict[int, Any]) -> "Unpickled":
        return self


class Asking(Unpickled, Searcher):
    """Ray's way to ask the study what to try next, and to say that a trial has left."""

    def __init__(self, study: Study) -> None:
        super().__init__()
        self.study, self.numbers = study, dict[str, int]()

    def suggest(self, trial_id: str) -> Any:
        order = self.study.next()
        if order is None:
            return Searcher.FINISHED
        self.numbers[trial_id] = order.number
        return {"number": order.number, "order": json.dumps(asdict(order))}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Hears of trials that ended by themselves, were stopped, or whose worker died too often."""
        number = self.numbers[trial_id]
        if error:
            ending = Ending(error=f"its worker died {MOST_DEATHS + 1} times: killed, or out of memory?")
        elif result and "ending" in result:
            ending = Ending(**json.loads(result["ending"]))
        else:
            ending = Ending(stopped=True)
        self.study.end(number, ending)

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the journal holds what a search needs to go on."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing, as above."""

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Nothing, as above."""


class Telling(Unpickled, FIFOScheduler):
    """Ray's way to tell the study of a validation, and to hear whether the trial should go on."""

    def __init__(self, study: Study) -> None:
        super().__init__()
        self.study = study

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        if "ending" in result:
            return str(self.STOP)
        goes_on = self.study.report(trial.config["number"], result["epoch"], json.loads(result["figures"]))
        return str(self.CONTINUE if goes_on else self.STOP)
