"""trainer.tune=True from its start to what it leaves."""

import logging
from collections.abc import Callable
from contextlib import nullcontext
from importlib import import_module

from models.run import Run
from models.start import Start
from tuning.interruption import mark, place
from tuning.pool import Pool
from tuning.problem import Problem
from tuning.results import write_results
from tuning.study import Study
from tuning.table import shown, table
from utils.build import ConfigurationError
from utils.loading import loading
from utils.log import console
from utils.words import many

log = logging.getLogger(__name__)

BACKENDS = {"ray": ("tuning.ray_search", "ray[tune]"), "local": ("tuning.local", "optuna")}


def best_of(problem: Problem, run: Run, pool: Pool | None = None) -> Start | None:
    """Searches, or goes on with it; answers the best as a run to be trained, None where tune.final=false.

    pool: of the local backend, where it was begun ahead; it is ended. Raises ValueError where nothing was found, with
    the first reason.
    """
    mark(problem, run, done=False)
    with pool or nullcontext():
        study = _searched(problem, run, pool)
    try:
        study.require_found()
    except ValueError:
        mark(problem, run, done=True)  # the same command starts anew
        raise
    write_results(study)
    return _told(study, run)


def _told(study: Study, run: Run) -> Start | None:
    best, problem = study.best(), study.problem
    assert best is not None
    console().print(table(study))
    if study.unkept:
        log.warning(study.unkept)
    log.info("the best is trial %d; all of them: %s", best.number + 1, place(run) / "report" / "index.html")
    if not problem.settings.final:
        mark(problem, run, done=True)
        return None
    if run.can_go_on:  # its full training was interrupted
        stored = {key: value for key, value in run.read().items() if key != "record"}
        return Start(run, stored, resume=True)
    return Start(run, problem.of_best(best.values))


def _searched(problem: Problem, run: Run, pool: Pool | None) -> Study:
    with shown() as watch:
        study = Study(problem, place(run), watch)
        study.pool = pool
        if study.ended:
            log.info("going on with %d of %s done: %s", len(study.ended), many(study.wanted, "trial"), place(run))
        if problem.unlike:
            log.warning(problem.unlike)
        for told in filter(None, (study.left_out, study.unstopped)):
            log.info(told)
        if not study.is_over:
            _backend(problem.settings.backend)(study)
    return study


def _backend(name: str) -> Callable[[Study], None]:
    module, package = BACKENDS[name]
    try:
        with loading():
            found: Callable[[Study], None] = import_module(module).search
    except ModuleNotFoundError as error:
        raise ConfigurationError(f"tune.backend={name} needs {error.name}: pip install '{package}'") from error
    return found
