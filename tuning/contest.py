"""Ways to train, made ready, measured and compared at equal time: what experiment=auto decides networks and data by."""

import math
import time
from dataclasses import replace

import torch
from torch import Tensor

from datamodule.data import ImageData
from models.inference import example
from models.latency import timed
from models.settings import TrainerSettings
from models.task import ImageTask
from models.training import device_of, make_task, settle_choices, stand_in
from tuning.auto_optimizer import short_training
from tuning.auto_settings import SearchSettings
from tuning.candidates import Candidate, Clock, end_s, first_arm, parameters
from tuning.course import Config, Course
from tuning.halving import sizes
from tuning.limits import Limits
from tuning.space import Compose
from utils.build import build, settings
from utils.configuration import digest
from utils.log import first_line
from utils.words import images_a_second

ETA = 3  # one in so many goes on to the next round
PROBED_STEPS = 3
FEWEST_BATCHES = 4  # in an epoch of a training on a smaller scale
FEW, HOPELESS = 8, 1.0  # images of a first look, and epochs below which a network is not looked at further
KEPT = {"trainer": ("speed", "threads"), "datamodule": ("height", "width", "channels")}


class Contest:
    """compose: overrides → a whole configuration. Images that several candidates share are prepared once."""

    def __init__(self, compose: Compose, clock: Clock, limits: Limits) -> None:
        self.compose, self.clock, self.limits = compose, clock, limits
        self.prepared = 0  # candidates
        self.data: dict[str, ImageData] = {}

    def prepare(self, one: Candidate, by: float) -> None:
        """Data, network, speed and the time of a step; what cannot work, or not in the time, is refused with why.

        by: seconds of the clock; after that only the first candidate that works is prepared.
        """
        if self.clock.spent > by and self.prepared:
            one.refused = "no time to measure it"
            return
        try:
            config = self.compose(one.overrides)
            data = self._data(config)
            task = make_task(config, data)
            task.check(example(data, torch.device("cpu")).image[:2])
            limits = settings(TrainerSettings, config["trainer"], "trainer.")
            one.refused = self._too_slow(task, data, device_of(limits))
            if one.refused:
                return
            settle_choices(config, replace(limits, max_epochs=1), task, data)
        except (ValueError, RuntimeError) as error:
            one.refused = first_line(error)[:100]
            return
        one.course = Course(config, task, data, device_of(limits))
        self.prepared += 1
        self.measure(one)
        if self.limits.given:
            self._respect_limits(one)

    def _too_slow(self, task: ImageTask, data: ImageData, device: torch.device) -> str:
        """Whether a few images already show that not even one epoch fits; the others need no such look."""
        batch = example(data, device)
        few = batch.image[:FEW]
        began = time.monotonic()
        task.to(device).loss(task.net(few), batch.target[:FEW]).backward()
        task.net.zero_grad()
        per_image = (time.monotonic() - began) / len(few)
        epochs = self.clock.left / max(per_image * data.sizes["train"], 1e-9)
        return f"too slow, {images_a_second(1 / per_image)}" if epochs < HOPELESS and self.prepared else ""

    def vary(self, one: Candidate, best: Candidate) -> None:
        """The same network in the same mode, on data of its own."""
        assert best.course is not None
        config = self.compose(one.overrides)
        for group in ("trainer", "datamodule"):
            config[group] |= {key: best.course.config[group][key] for key in KEPT[group]}
        best.course.restore()
        one.course = Course(config, best.course.task, self._data(config), best.course.device)
        self.measure(one)

    def _data(self, config: Config) -> ImageData:
        key = digest(config["datamodule"])
        if key not in self.data:
            self.data[key] = build(stand_in(config, "datamodule"), seed=config["seed"])
            self.data[key].prepare()
        return self.data[key]

    def measure(self, one: Candidate) -> None:
        """What a step and an evaluation take, and so how long the training in full would be."""
        assert one.course is not None
        make = build(first_arm().node)
        one.course.train(make, 1)
        curve, _ = one.course.train(make, PROBED_STEPS)
        one.step_s = (curve.seconds - curve.judged_seconds) / PROBED_STEPS
        one.judged_s = curve.judged_seconds / curve.judged_images if curve.judged_images else 0.0
        left = max(self.clock.left - end_s(one, self.clock), 1.0)
        one.course.full_steps = max(1, int(left * 0.6 / one.step_s))

    def _respect_limits(self, one: Candidate) -> None:
        """Refuses a network that is too slow or too large to be deployed, with what it has."""
        assert one.course is not None
        net = one.course.task.net.eval()
        image: Tensor = one.course.settling()[0][:1]
        one.latency_ms = 1000 * float(torch.tensor(timed(lambda: net(image), image.device)).quantile(0.95))
        net.train()
        figures = {"latency_ms": (one.latency_ms, "ms an image"), "parameters": (parameters(one), "M parameters")}
        for limit in self.limits.given:
            (has, unit), allowed = figures[limit.key], getattr(self.limits, limit.key)
            if has > allowed:
                one.refused = f"{has:.3g} {unit}, {allowed:g} are allowed"
                one.excess = max(one.excess, has / allowed)

    def best_of(self, candidates: list[Candidate], share: float, scaled: bool = False) -> Candidate:
        """Successive halving at equal time; the validation loss of a round's complete schedules decides.

        share: of the whole time, for all of it. scaled: a short training is the full one on a smaller scale.
        """
        left = candidates
        rounds = sizes(len(candidates), ETA) if len(candidates) > 1 else []
        for count in rounds:
            left = left[:count]
            seconds = share * self.clock.total / len(rounds) / count
            for one in left:
                self._short(one, seconds, scaled)
            left = sorted(left, key=lambda one: one.loss)
        return left[0]

    def _short(self, one: Candidate, seconds: float, scaled: bool) -> None:
        """Trains a complete schedule in the time; the candidate keeps what came of it."""
        assert one.course is not None
        course = one.course
        one.steps = max(PROBED_STEPS, int(seconds / (1.35 * one.step_s)))
        if scaled:
            one.share, full_steps = smaller(course, one.steps), course.full_steps
            course.restore()
            course = Course(course.config, course.task, course.data, course.device, one.share)
            course.full_steps = full_steps
        curve, _ = short_training(course, first_arm(), one.steps, SearchSettings(), time.monotonic() + 1.5 * seconds)
        one.loss, one.dropped = curve.val_loss, curve.dropped


def smaller(course: Course, steps: int) -> float:
    """The share of the images on which a training of so many steps is like the full one.

    As much fewer images as it passes fewer times over them. On all images a short training sees each but once or
    twice, has nothing to remember, and speaks for no augmentation; passing as often over as few as that takes, it
    speaks for too much.
    """
    few = FEWEST_BATCHES * course.images_per_step / course.data.sizes["train"]
    return min(1.0, max(few, math.sqrt(steps / course.full_steps)))
