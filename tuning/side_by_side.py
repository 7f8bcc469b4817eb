"""Arms of the automatic optimizer at the same time: each in a process of its own with a GPU, or a core, by Ray."""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor

from models.settings import TrainerSettings
from models.training import device_of, make_task, prepare_torch, settle_choices
from tuning.arms import Arm
from tuning.auto_optimizer import Trainings, short_training
from tuning.auto_settings import SearchSettings
from tuning.course import Config, Course, Curve, State
from utils.build import build, settings
from utils.configuration import absolute
from utils.ray_session import connected


def several(course: Course, rules: SearchSettings) -> AbstractContextManager[Trainings | None]:
    """Arms at the same time where that is asked for, or where there are several GPUs; else nothing."""
    count = at_once(rules, course.device)
    return side_by_side(course, rules, count) if count > 1 else nullcontext()


def at_once(rules: SearchSettings, device: torch.device) -> int:
    """How many arms train at the same time; `auto`: one on each GPU."""
    if rules.at_once != "auto":
        return rules.at_once
    return max(1, torch.cuda.device_count()) if device.type == "cuda" else 1


@contextmanager
def side_by_side(course: Course, rules: SearchSettings, count: int) -> Iterator[Trainings]:
    """Trains arms as the course would, `count` of them at once. Raises ValueError where there is not room for them."""
    import ray
    from ray.util import ActorPool

    with connected(None, ""):
        needed = _needed(course, count, ray.cluster_resources())
        weights, config = ray.put(course.initial), absolute(course.config)
        remote: Any = ray.remote(**needed)  # type: ignore[call-overload]
        worker = remote(Worker)
        pool: Any = ActorPool([worker.remote(config, weights, rules) for _ in range(count)])

        def trainings(arms: Sequence[Arm], steps: int, deadline: float) -> Iterator[tuple[Curve, State]]:
            found = pool.map(lambda one, arm: one.train.remote(arm, steps, deadline - time.monotonic()), arms)
            yield from found

        yield trainings


def _needed(course: Course, count: int, there: dict[str, float]) -> dict[str, float]:
    """Of each worker, as Ray spells it."""
    kind = "GPU" if course.device.type == "cuda" else "CPU"
    each = 1.0 if kind == "GPU" else float(course.config["trainer"]["threads"] or 1)
    if count * each > there.get(kind, 0.0):
        raise ValueError(
            f"optimizers.search.at_once={count} needs {count * each:g} {kind}s, there are {there.get(kind, 0.0):g}: "
            "lower it, or trainer.threads"
        )
    return {"num_gpus": 1.0, "num_cpus": 0.0} if kind == "GPU" else {"num_cpus": each}


class Worker:
    """A course of its own, on the same images and from the same weights."""

    def __init__(self, config: Config, initial: dict[str, Tensor], rules: SearchSettings) -> None:
        limits = settings(TrainerSettings, config["trainer"], "trainer.")
        prepare_torch(limits)
        data = build(config["datamodule"], seed=config["seed"])
        data.prepare()
        task = make_task(config, data)
        settle_choices(config, limits, task, data)
        task.net.load_state_dict(initial)
        self.course, self.rules = Course(config, task, data, device_of(limits)), rules

    def train(self, arm: Arm, steps: int, seconds: float) -> tuple[Curve, State]:
        """One short training that has so many seconds."""
        deadline = time.monotonic() + seconds if seconds < math.inf else math.inf
        return short_training(self.course, arm, steps, self.rules, deadline)
