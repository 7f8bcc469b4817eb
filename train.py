"""Trains a model: python train.py [GROUP=OPTION ...] [KEY=VALUE ...]; --help lists them."""

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from active.start import check as check_active
from active.start import journal_of, unfinished
from models.checks import refuse_one_name, run_settings
from models.interruption import Interrupted, status, terminate
from models.run import Run
from models.start import Start, is_further_rank, start
from tuning.auto_model_settings import of_model_search
from tuning.automatic_settings import of_automatic
from tuning.checks import check, check_line
from tuning.interruption import interrupted, trials_of
from tuning.problem import Problem
from utils.build import build
from utils.configuration import command, composed, overridden, plain
from utils.loading import loading
from utils.log import to_file, to_terminal

if TYPE_CHECKING:
    from datamodule.data import ImageData
    from models.outcome import Outcome
    from tuning.pool import Pool

NOT_STORED = ("resume_full_training", "reproduce", "logs", "run_name", "force")


@hydra.main(version_base="1.3", config_path="configuration", config_name="configs")
def main(cfg: DictConfig) -> None:
    """One run, from the command line to the closing table."""
    config = checked(plain(cfg))
    problem, pool = searched_for(config)
    begun = (interrupted(problem) if problem else unfinished(config)) or start(config, run_settings(config), override)
    to_terminal()
    to_file(begun.run.folder / "log.txt")
    with leaving(begun.run):
        require_store(begun.config)
        best = searched(begun, problem, pool) if problem else begun
        if best is not None:
            finish(best, trained(best, problem))


def checked(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration, refused by key where it cannot work; torch is not imported for it."""
    check(config)
    check_active(config)
    return config


def searched_for(config: dict[str, Any]) -> "tuple[Problem | None, Pool | None]":
    """What trainer.tune=True searches, checked, and processes for it, which load torch meanwhile.

    Nothing where it is not asked, or another rank did so.
    """
    if not config["trainer"]["tune"] or is_further_rank():
        return None, None
    from tuning.pool import pool_of

    problem = Problem(config, choices(), compose)
    pool = pool_of(problem.settings)
    return problem.check(), pool


def choices() -> dict[str, str]:
    """The options of the groups on this command line."""
    return {str(group): str(option) for group, option in HydraConfig.get().runtime.choices.items()}


def compose(overrides: Sequence[str]) -> dict[str, Any]:
    """The configuration of this command line with further overrides."""
    return checked(composed(list(HydraConfig.get().overrides.task), overrides))


def check_sweep(points: Sequence[Sequence[str]]) -> None:
    """Refuses what one of a sweep's points could not begin with, before the first of them trains for hours."""
    configs = [check_line(point, []) for point in points]
    for config in configs:
        check_active(config)
    refuse_one_name(configs)


@contextmanager
def leaving(run: Run) -> Iterator[None]:
    """An interruption ends with the usual status and says how to go on; without anything to keep no folder is left."""
    former = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    except (KeyboardInterrupt, Interrupted) as stop:
        if not is_further_rank():
            print(f"{str(stop) or 'interrupted'}; {how_it_goes_on(run)}")
        sys.exit(status(stop))
    finally:
        signal.signal(signal.SIGTERM, former)
        if not is_further_rank():
            tidy(run)


def how_it_goes_on(run: Run) -> str:
    """In words."""
    if not has_begun(run):
        return "there is nothing to go on from: the same command begins again"
    if trials_of(run).exists() or journal_of(run).exists():
        return "the same command goes on"
    if why := run.why_it_cannot_go_on:
        return f"it cannot go on: {run.folder} {why}"
    return f"it goes on with: python train.py resume_full_training={run.folder}"


def has_begun(run: Run) -> bool:
    """Whether a training, a search or a loop has left anything."""
    return run.finished or any(kept.exists() for kept in (run.checkpoints, trials_of(run), journal_of(run)))


def tidy(run: Run) -> None:
    """A folder in which nothing was begun is of no use; one in which something was has replaced a former run."""
    if has_begun(run):
        run.drop_former()
    else:
        run.give_way()


def require_store(config: dict[str, Any]) -> None:
    """Raises ValueError, ConnectionError where callback=store could not take the model, before hours go into it."""
    node = config["callback"].get("store")
    if node and not is_further_rank():
        build(node).check()


def searched(begun: Start, problem: Problem, pool: "Pool | None") -> Start | None:
    """The best configuration that a search finds, to be trained in full; None where tune.final=false."""
    with loading():
        from tuning.search import best_of

    return best_of(problem, begun.run, pool)


def override(stored: dict[str, Any]) -> dict[str, Any]:
    """A stored configuration with the values of this command line."""
    return checked(overridden(stored, list(HydraConfig.get().overrides.task), ignore=NOT_STORED))


def trained(begun: Start, problem: Problem | None) -> "Outcome":
    """The trained model."""
    with loading():
        from models.training import Parts, train
        from tuning.choice import Choice
        from tuning.sections import sections

    if begun.config.get("active"):
        return labelled(begun)
    config, data = automatic(begun)
    parts = Parts(data=data, choose=Choice(), sections=sections(problem))
    return train(config, begun.run, begun.resume, parts)


def automatic(begun: Start) -> "tuple[dict[str, Any], ImageData | None]":
    """The configuration that models=auto or experiment=auto decides on, and the data that the latter looked at."""
    if begun.resume:
        return begun.config, None
    if (search := of_model_search(begun.config)) is not None:
        from tuning.auto_model import with_chosen_model

        return with_chosen_model(begun.config, begun.run, search), None
    if (wanted := of_automatic(begun.config)) is None:
        return begun.config, None
    from tuning.automatic import Automatic

    given = [override.partition("=")[0].lstrip("+") for override in HydraConfig.get().overrides.task]
    return Automatic(begun.config, begun.run, compose, given, wanted).decide()


def labelled(begun: Start) -> "Outcome":
    """The model trained on what the loop labelled; after an interruption, or a wait, the same command goes on."""
    with loading():
        from active.command import learn
        from active.oracles.oracle import Waiting

    try:
        return learn(begun.config, begun.run)
    except Waiting as pause:
        print(f"{pause}; then the same command goes on")
        sys.exit(0)


def finish(begun: Start, outcome: "Outcome") -> None:
    """The closing table; after a reproduction also whether the weights are the same, else status 1."""
    from models.outcome import compare, tell

    tell(outcome)
    if begun.original is not None:
        same, why = compare(begun.original, outcome)
        print(why)
        sys.exit(0 if same else 1)


if __name__ == "__main__":
    # Each step frees large blocks and faults them in anew; on huge pages that costs less. torch asks as it is loaded.
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    command(main, check_sweep=check_sweep)
