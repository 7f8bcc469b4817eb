"""models=auto in train.py: the network by model search, its reason in the run."""

import logging
from pathlib import Path

from models.run import Run
from tuning import verdicts
from tuning.auto_model_settings import Config, ModelSearch
from tuning.benchmark_command import chosen_of, measured
from tuning.finetune_settings import OwnImages
from tuning.finetuning import with_model
from tuning.model_search import Choice, ranking
from tuning.verdicts import Verdict
from utils.log import console

log = logging.getLogger(__name__)


def with_chosen_model(config: Config, run: Run, asked: ModelSearch) -> Config:
    """The configuration with the network that the search chooses.

    Raises ValueError where no network keeps the limits, with the nearest one and what it breaks.
    """
    choice = searched(asked, config, run)
    if choice.chosen is None:
        raise ValueError(f"models=auto: {choice.why}")
    told = verdicts_of(choice, asked)
    verdicts.write(run.folder, told)
    for verdict in told:
        log.info("%s", verdict)
    return with_model(config, choice.chosen)


def searched(asked: ModelSearch, config: Config, run: Run) -> Choice:
    """The best within the limits. Another training that measures is waited for."""
    (found,) = measured(asked.benchmark, asked.limits, patient=True)
    own = OwnImages(asked.finetune, config) if asked.finetune.candidates else None
    choice = chosen_of(found, asked.limits, own, Path(asked.benchmark.file).expanduser())
    if choice.ranked:
        console().print(ranking(choice.ranked))
    return choice


def verdicts_of(choice: Choice, asked: ModelSearch) -> list[Verdict]:
    """In words, for log, file and report."""
    best = choice.chosen
    assert best is not None
    table = f"{len(choice.ranked)} keep all limits; speeds of {best.row.machine}"
    found = [Verdict("network", " ".join(choice.overrides), choice.why)]
    kept = ", ".join(limit.told(best, getattr(asked.limits, limit.key)) for limit in asked.limits.given)
    found += [Verdict("deployment limits", kept, table)] if kept else []
    engine = " ".join(choice.engine)
    return found + ([Verdict("engine to deploy", engine, "the speed was measured with it")] if engine else [])
