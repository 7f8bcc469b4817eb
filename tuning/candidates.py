"""What experiment=auto compares: ways to train, what each has shown so far, and the time that there is."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import psutil

from tuning.arms import Arm
from tuning.course import OUT_OF_TIME, Course
from utils.configuration import option
from utils.words import images_a_second, many

BUSIEST = 10.0  # times the CPU-seconds
REPORT_S, REPORT_SHARE = 6.0, 0.01  # CPU-seconds for the report, and a share of the time, kept beside the evaluation's
SPARE = 1.5  # times as long as measured may an evaluation take


@dataclass
class Candidate:
    """A way to train: overrides, and once it is prepared its course and what a step takes."""

    name: str
    overrides: list[str]
    course: Course | None = None
    step_s: float = math.inf
    judged_s: float = 0.0  # what it takes to judge an image
    loss: float = math.inf
    steps: int = 0  # after which it had that loss: those of a later round are more
    share: float = 1.0  # of the training images in them
    dropped: str = ""  # why it has none after its last round, in words
    refused: str = ""
    too_slow: bool = False  # to be compared with others
    latency_ms: float = math.nan  # p95 of one image
    excess: float = 0.0  # by how many times its limit it breaks the one it breaks most

    @property
    def images_per_s(self) -> float:
        return self.course.images_per_step / self.step_s if self.course else 0.0


@dataclass
class Clock:
    """Seconds from the start of this process."""

    total: float
    started: float = field(default_factory=lambda: psutil.Process().create_time())

    @property
    def slowness(self) -> float:
        """Seconds that passed for one of this process's CPU-seconds: above 1 where others want the cores."""
        return min(max(self.spent / time.process_time(), 1.0), BUSIEST)

    @property
    def spent(self) -> float:
        return self.total - self.left

    @property
    def left(self) -> float:
        return self.started + self.total - time.time()


def end_s(one: Candidate, clock: Clock) -> float:
    """Seconds that evaluation and report will take."""
    assert one.course is not None
    images = 2 * one.course.data.sizes["val"] + one.course.data.sizes["test"]  # last and best weights are compared
    return REPORT_S * clock.slowness + REPORT_SHARE * clock.total + SPARE * images * one.judged_s


def left_told(clock: Clock, kept_s: float) -> str:
    """The time that there is for training, in words. kept_s: for evaluation and report."""
    if clock.left < kept_s:
        return f"{clock.spent:.0f} s of {clock.total:.0f} are spent, evaluation and report take {kept_s:.0f} more"
    return f"{clock.left:.0f} s were left of {clock.total:.0f}, {kept_s:.0f} of them for evaluation and report"


def parameters(one: Candidate) -> float:
    """Millions."""
    assert one.course is not None
    return sum(parameter.numel() for parameter in one.course.task.net.parameters()) / 1e6


def epochs_of(one: Candidate) -> float:
    """Of a full training in the time that was left when it was measured."""
    assert one.course is not None
    return one.course.full_steps / one.course.steps_per_epoch


def nearest_to_usable(found: Sequence[Candidate]) -> str:
    """Of all that were refused the one that a limit refuses least, else the first."""
    broken = [one for one in found if one.excess]
    nearest = min(broken, key=lambda one: one.excess) if broken else found[0]
    return f"{'the nearest is ' if broken else ''}{nearest.name}: {nearest.refused}"


def first_arm() -> Arm:
    """What networks are compared with, before an optimizer is chosen: the one that leads in most of the log's cells."""
    node = option("optimizers", "muon") | {"lr": 0.0055}
    return Arm("muon", 0.0055, node)


def sized(size: int | None) -> list[str]:
    return [] if size is None else [f"datamodule.height={size}", f"datamodule.width={size}"]


def figures_of(one: Candidate) -> str:
    """Its figures in words."""
    if one.refused:
        return one.refused
    speed = images_a_second(one.images_per_s)
    if math.isfinite(one.loss):
        on = f" on {one.share:.0%} of the images" if one.share < 1 else ""
        return f"validation loss {one.loss:.3g} after {many(one.steps, 'step')}{on}, {speed}"
    why = "too slow" if one.too_slow else one.dropped
    return f"{why}, {speed}" if why else speed


def told_beside(chosen: Candidate, found: Sequence[Candidate]) -> str:
    """Its figures and those of the others; that they say nothing of it where there was no time to train them."""
    others = [f"{one.name}: {figures_of(one)}" for one in found if one is not chosen]
    in_vain = not math.isfinite(chosen.loss) and chosen.dropped in ("", OUT_OF_TIME)
    untold = ["no time to compare them"] if others and in_vain else []
    return "; ".join([*untold, figures_of(chosen), *others])


def span(seconds: float) -> str:
    """ "DD:HH:MM:SS", at least a second."""
    whole = max(1, int(seconds))
    return f"{whole // 86400:02}:{whole // 3600 % 24:02}:{whole // 60 % 60:02}:{whole % 60:02}"
