"""experiment=auto: chooses everything by short trainings within a time, then hands over what is left of it.

Candidates are lists of overrides, composed like a command line. They are compared at equal time, not equal steps, so
that a slow network has to be worth it; every short training has a complete schedule (tuning/course.py).
"""

import logging
import math
from collections.abc import Sequence
from dataclasses import replace

import torch

from datamodule.data import ImageData
from models.inference import example
from models.run import Run
from models.settings import TrainerSettings, duration
from models.training import prepare_torch, stand_in
from tuning import auto_report, verdicts
from tuning.automatic_optimizer import OPTIMIZER, kept, searched, unsearched
from tuning.automatic_settings import AutomaticSettings, limits_of
from tuning.batch_size import measured_sizes, pick, told
from tuning.candidates import (
    REPORT_S,
    REPORT_SHARE,
    Candidate,
    Clock,
    end_s,
    epochs_of,
    figures_of,
    left_told,
    nearest_to_usable,
    parameters,
    sized,
    span,
    told_beside,
)
from tuning.contest import Contest
from tuning.course import Config, Course
from tuning.space import Compose
from tuning.verdicts import Verdict
from utils.build import build, settings

log = logging.getLogger(__name__)
FEWEST_EPOCHS = 5.0  # that a network must manage in the time
ENOUGH_FOR_STRONG = 30.0  # epochs
SLOW_TO_PAY = ("strong", "mix")  # augmentations, in fewer epochs
NEVER_ENOUGH = ("none",)  # in as many
UNEVEN = 5.0  # times as many images in the largest class as in the smallest: classes are drawn more evenly
PREPARED_BY = 0.6  # of the networks' share of the time: those not prepared by then are left out


class Automatic:
    """One pass from data to a complete configuration. fixed: keys that the command line gives, which are kept.

    A value of auto is none that could be kept.
    """

    def __init__(self, config: Config, run: Run, compose: Compose, fixed: Sequence[str], wanted: AutomaticSettings):
        self.base, self.run, self.fixed, self.wanted = config, run, kept(config, fixed), wanted
        self.limits = limits_of(config)
        self.clock = Clock(duration(config["trainer"]["max_time"]).total_seconds())
        self.contest = Contest(compose, self.clock, self.limits)
        self.told: list[Verdict] = []

    def decide(self) -> tuple[Config, ImageData]:
        """The complete configuration, its time what is left, and the data that it is about, already prepared."""
        prepare_torch(settings(TrainerSettings, self.base["trainer"], "trainer."))
        chosen = self._look()
        self._warn_of_too_little()
        best = self._network(chosen)
        best = self._augmentation(best)
        assert best.course is not None
        self._batch_size(best.course)
        self._optimizer(best)
        return self._complete(best)

    def _say(self, what: str, chosen: str, why: str) -> None:
        self.told.append(Verdict(what, chosen, why))
        log.info("%s", self.told[-1])

    def _look(self) -> list[str]:
        """What the images and labels alone decide, as overrides."""
        data: ImageData = build(stand_in(self.base, "datamodule"), seed=self.base["seed"])
        inventory, skipped = data.settled()
        self.side = int(torch.tensor([*inventory.height, *inventory.width]).median())
        train = inventory.rows("train")
        left_out = f", {len(skipped)} left out" if skipped else ""
        self._say(
            "data", f"{len(inventory):,} images{left_out}", f"{len(train):,} to train on, sides about {self.side} px"
        )
        if data.kind != "classes" or "datamodule.weighted_sampling" in self.fixed:
            return []
        counts = torch.from_numpy(inventory.codes()[train]).bincount(minlength=len(inventory.classes))
        ratio = float(counts.max()) / max(1, int(counts.min()))
        chosen = "classes drawn more evenly" if ratio > UNEVEN else "as the data are"
        why = f"{len(inventory.classes)} classes, the largest has {ratio:.1f} times the images of the smallest"
        self._say("sampling", chosen, why)
        return ["datamodule.weighted_sampling=true", "datamodule.power=0.5"] if ratio > UNEVEN else []

    def _warn_of_too_little(self) -> None:
        """Before the first short training, from what starting took and reporting will take."""
        spent_s, report_s = self.clock.spent, REPORT_S * self.clock.slowness
        if (enough := enough_s(spent_s, report_s, self.wanted)) > self.clock.total:
            log.warning(
                f"trainer.max_time={self.base['trainer']['max_time']} is little: {spent_s:.0f} s went into starting, "
                f"{self.wanted.choosing_share * self.clock.total:.0f} s are for choosing, {report_s:.0f} s for "
                f"evaluation and report; give {span(2 * enough)} or more"
            )

    def _network(self, chosen: list[str]) -> Candidate:
        """Networks and image sizes, measured, then compared at equal time."""
        found = [
            Candidate(" ".join([network, *([f"{size} px"] if size else [])]), [*chosen, *overrides, *sized(size)])
            for network, overrides in self._networks()
            for size in self._sizes()
        ]
        prepared_by = PREPARED_BY * self.wanted.networks_share * self.clock.total
        for one in found:
            self.contest.prepare(one, prepared_by)
        usable = [one for one in found if not one.refused]
        if not usable:
            raise ValueError(f"experiment=auto: no network works here; {nearest_to_usable(found)}")
        quick = [one for one in usable if epochs_of(one) >= FEWEST_EPOCHS]
        contest = quick or sorted(usable, key=lambda one: one.step_s)[:2]
        for one in found:
            one.too_slow = one not in contest
        best = self.contest.best_of(contest, self.wanted.networks_share)
        rest = "; ".join(f"{one.name}: {figures_of(one)}" for one in found if one is not best)
        self._say(
            "network and image size",
            best.name,
            f"{figures_of(best)}, {epochs_of(best):.0f} epochs fit; {rest or 'given'}",
        )
        if self.limits.given:
            kept = ", ".join(
                f"{limit.title} at most {getattr(self.limits, limit.key):g}" for limit in self.limits.given
            )
            self._say("deployment limits", kept, f"it has {parameters(best):.3g} M, p95 {best.latency_ms:.3g} ms")
        return best

    def _networks(self) -> list[tuple[str, list[str]]]:
        if "models" in self.fixed:
            return [("the given network", [])]
        if self.base["task"]["kind"] == "masks" and "auto.networks" not in self.fixed:
            return [("the task's network", [])]  # those of auto.networks answer once for an image
        return [(name, [f"models={name}"]) for name in self.wanted.networks]

    def _sizes(self) -> list[int | None]:
        smaller = [size for size in self.wanted.sizes if size < self.side]
        if self.fixed & {"datamodule.height", "datamodule.width"} or not smaller:
            return [None]
        return [*smaller[-2:]]

    def _augmentation(self, best: Candidate) -> Candidate:
        if self.fixed & {"datamodule/augment", "datamodule.augment"}:
            return best
        if self.clock.left < end_s(best, self.clock):
            self._say("augmentation", "as it is", "no time to compare it with others")
            return best
        names = worth_trying(self.wanted.augmentations, epochs_of(best))
        found = [Candidate(name, [*best.overrides, f"datamodule/augment={name}"]) for name in names]
        for one in found:
            self.contest.vary(one, best)
        chosen = self.contest.best_of(
            [one for one in found if not one.refused], self.wanted.augmentations_share, scaled=True
        )
        self._say("augmentation", chosen.name, told_beside(chosen, found))
        return chosen

    def _batch_size(self, course: Course) -> None:
        if "datamodule.batch_size" in self.fixed:
            return
        course.restore()
        course.task.to(course.device)
        batch = example(course.data, course.device)
        table = measured_sizes(course.task, batch.image, batch.target, course.data.sizes["train"], course.speed.mode)
        chosen = pick(table)
        course.restore()
        course.config["datamodule"]["batch_size"] = course.data.batch_size = chosen.size
        self._say("batch size", str(chosen.size), told(table, chosen))

    def _optimizer(self, best: Candidate) -> None:
        """The optimizer and its rate on the chosen network, within their share of the time."""
        assert best.course is not None
        course = Course(best.course.config, best.course.task, best.course.data, best.course.device)
        at_its_size = replace(best, course=course)
        self.contest.measure(at_its_size)
        if self.fixed & OPTIMIZER:
            return
        there = self.clock.left - end_s(at_its_size, self.clock)
        seconds = min(self.wanted.optimizers_share * self.clock.total, there / 2)
        found = searched(course, at_its_size.step_s, seconds)
        winner = found.winner if found else unsearched(course.config["optimizers"])
        course.restore()
        course.config["optimizers"] = winner.node
        if found:
            auto_report.write(self.run.folder, found)
            auto_report.tell(found)
        self._say("optimizer and rate", str(winner), found.why if found else "no time to compare it with others")

    def _complete(self, best: Candidate) -> tuple[Config, ImageData]:
        """The configuration with the time that is left for training alone."""
        assert best.course is not None
        config, data, kept_s = best.course.config, best.course.data, end_s(best, self.clock)
        seconds = max(1.0, self.clock.left - kept_s)
        config["schedulers"]["budget"] = round(seconds, 1)
        config["trainer"]["max_time"] = span(math.ceil(seconds) + 1)
        config["auto"] = None
        self._say("schedule", f"linear to zero within {seconds:.0f} s", left_told(self.clock, kept_s))
        verdicts.write(self.run.folder, self.told)
        return config, data


def enough_s(spent_s: float, report_s: float, wanted: AutomaticSettings) -> float:
    """The least time in which networks are still compared, and half of what choosing leaves is trained."""
    compared = spent_s / (PREPARED_BY * wanted.networks_share)
    return max(compared, (spent_s + report_s) / ((1 - wanted.choosing_share) / 2 - REPORT_SHARE))


def worth_trying(augmentations: Sequence[str], epochs: float) -> Sequence[str]:
    """Those that pay in so many epochs; all where none would be left."""
    idle = NEVER_ENOUGH if epochs >= ENOUGH_FOR_STRONG else SLOW_TO_PAY
    return [name for name in augmentations if name not in idle] or augmentations
