"""What experiment=auto trains with: the automatic optimizer, or the rate of a given one, within a share of the time."""

import math
from collections.abc import Iterable
from dataclasses import replace

from models.training import RATE
from tuning.arms import Arm, Node, arms, spread
from tuning.auto_optimizer import Found, TooShort, search
from tuning.auto_settings import of_choice
from tuning.candidates import first_arm, span
from tuning.course import Config, Course
from tuning.rate_finder import STEPS, find_rate
from tuning.side_by_side import several

OPTIMIZER = {"optimizers", "optimizers.lr", "optimizers.option"}
LEAST_STEPS = 50  # that a search takes: a step is measured, one arm is trained once and validated


def kept(config: Config, given: Iterable[str]) -> set[str]:
    """Of the keys that a command line gives those that decide something: auto leaves it open."""
    node = config["optimizers"]
    left_open = {"datamodule.batch_size"} if config["datamodule"]["batch_size"] == "auto" else set[str]()
    if "auto" in (node.get("option"), node.get("lr")):
        left_open |= OPTIMIZER
    return set(given) - left_open


def wants_rate(node: Node) -> bool:
    """Whether the optimizer is given and its rate alone is to be found."""
    return node.get("lr") == "auto" and node.get("option") != "auto"


def searched(course: Course, step_s: float, seconds: float) -> Found | None:
    """The best optimizer and rate, found within so many seconds; None where these are not enough for a search."""
    test_s = STEPS * step_s if wants_rate(course.config["optimizers"]) else 0.0
    if seconds < test_s + LEAST_STEPS * step_s:
        return None
    try:
        return _found(course, seconds)
    except TooShort:
        given, _ = of_choice(course.config["optimizers"])
        if given.seconds is not None and given.seconds < seconds:
            raise
        return None  # steps took longer than they had before: no training was done in time


def _found(course: Course, seconds: float) -> Found:
    node = course.config["optimizers"]
    given, rules = of_choice(node)
    given = replace(given, max_training_time=span(min(seconds, given.seconds or math.inf)))
    with several(course, rules) as trainings:
        if wants_rate(node):
            return find_rate(course, node, given, rules, trainings)
        return search(course, arms(node, given, rules), given, rules, trainings)


def unsearched(node: Node) -> Arm:
    """Where there is no time to compare: a given optimizer in the middle of its rates, else a candidate at its own.

    Of the candidates it is the one that networks are compared with.
    """
    if wants_rate(node):
        rates = spread(node | {"lr": RATE}, 3)
        rate = rates[len(rates) // 2]
        return Arm(str(node.get("name", "optimizer")), rate, node | {"lr": rate})
    given, rules = of_choice(node)
    found = arms(node, given, replace(rules, rates=1))
    return next((arm for arm in found if arm.name == first_arm().name), found[0])
