"""What a training measures before it begins: batch size, optimizer and rate, where the configuration says auto.

Every choice goes into the configuration as a literal, so that a reproduced or resumed run repeats it without measuring.
"""

import copy
import logging
import math
from functools import partial
from typing import Any

import torch

from datamodule.data import ImageData
from models.draws import draws_aside
from models.inference import example
from models.run import Run
from models.settings import TrainerSettings
from models.task import ImageTask
from models.training import device_of
from tuning.arms import Arm, arms
from tuning.auto_optimizer import Found, Trainings, search, short_training
from tuning.auto_report import tell, write
from tuning.auto_settings import AutoSettings, SearchSettings, of_choice
from tuning.batch_size import measured_sizes, pick, told
from tuning.course import Config, Course, State, copied, with_state
from tuning.rate_finder import find_rate
from tuning.side_by_side import several
from utils.build import build, settings
from utils.words import many

log = logging.getLogger(__name__)


class Choice:
    """Called by the training with its configuration, which it completes in place, before the trainer is made.

    deadline: of time.monotonic(), at which no further optimizer or rate is tried.
    """

    def __init__(self, deadline: float = math.inf) -> None:
        self.deadline = deadline

    def __call__(self, config: Config, run: Run, task: ImageTask, data: ImageData) -> None:
        given, rules = of_choice(config["optimizers"])
        device = device_of(settings(TrainerSettings, config["trainer"], "trainer."))
        with draws_aside(device):
            if config["datamodule"]["batch_size"] == "auto":
                _choose_batch_size(config, task, data, device)
            if rules.replay or "auto" in (given.option, config["optimizers"].get("lr")):
                _choose_optimizer(Course(config, task, data, device, deadline=self.deadline), run, given, rules)


def _choose_batch_size(config: Config, task: ImageTask, data: ImageData, device: torch.device) -> None:
    before = copied(task.net.state_dict())
    task.to(device).train()
    batch = example(data, device)
    table = measured_sizes(task, batch.image, batch.target, data.sizes["train"], config["trainer"]["speed"])
    chosen = pick(table)
    log.info(told(table, chosen))
    config["datamodule"]["batch_size"] = data.batch_size = chosen.size
    task.to("cpu").net.load_state_dict(before)


def _choose_optimizer(course: Course, run: Run, given: AutoSettings, rules: SearchSettings) -> None:
    state = _replayed(course, rules) if given.option is None and rules.replay else _searched(course, run, given, rules)
    course.restore()
    course.task.make_optimizer = build(course.config["optimizers"])
    if state is not None:
        _go_on_from(state, course.task)


def _searched(course: Course, run: Run, given: AutoSettings, rules: SearchSettings) -> State | None:
    """Searches, tells, and writes the winner down; its state where the training goes on from it."""
    if course.config["trainer"]["max_time"]:
        log.info("trainer.max_time begins after this search, whose own time is optimizers.max_training_time")
    with several(course, rules) as trainings:
        found = _found(course, given, rules, trainings)
    goes_on = rules.then == "continue"
    course.config["optimizers"] = literal(found, goes_on)
    write(run.folder, found)
    tell(found)
    return found.state if goes_on else None


def _found(course: Course, given: AutoSettings, rules: SearchSettings, trainings: Trainings | None) -> Found:
    node = course.config["optimizers"]
    if given.option == "auto":
        return search(course, arms(node, given, rules), given, rules, trainings)
    return find_rate(course, node, given, rules, trainings)


def literal(found: Found, goes_on: bool) -> dict[str, Any]:
    """The winner's node as it stands in the run's configuration."""
    node = copy.deepcopy(found.winner.node)
    node["search"]["replay"] = found.ranked[0].curve.steps if goes_on else None
    return node


def _replayed(course: Course, rules: SearchSettings) -> State:
    """What the search left of the winner, trained again without the others."""
    assert rules.replay
    log.info("of the search the winner's part is trained first: %s", many(rules.replay, "step"))
    node = course.config["optimizers"]
    return short_training(course, Arm(node.get("name", ""), node["lr"], node), rules.replay, rules)[1]


def _go_on_from(state: State, task: ImageTask) -> None:
    task.net.load_state_dict(state.weights)
    task.make_optimizer = partial(with_state, task.make_optimizer, state.optimizer)
