"""experiment=auto: chooses everything by short trainings within a time, then hands over what is left of it.

Candidates are lists of overrides, composed like a command line. They are compared at equal time, not equal steps, so
that a slow network has to be worth it; every short training has a complete schedule (tuning/course.py).
"""

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from datamodule.data import ImageData
from models.inference import example
from models.latency import timed
from models.runs import Run
from models.settings import TrainerSettings, duration
from models.task import ImageTask
from models.training import device_of, make_task, prepare_torch, settle_choices
from tuning import auto_report, verdicts
from tuning.arms import arms
from tuning.auto_optimizer import search, short_training
from tuning.auto_settings import AutoSettings, SearchSettings, of_choice
from tuning.automatic_settings import AutomaticSettings, limits_of
from tuning.batch_size import measured_sizes, pick, told
from tuning.candidates import Candidate, Clock, figures_of, first_arm, nearest_to_usable, parameters, sized, span
from tuning.course import Config, Course
from tuning.halving import sizes
from tuning.side_by_side import several
from tuning.verdicts import Verdict
from utils.build import build, digest, settings

log = logging.getLogger(__name__)
Compose = Callable[[Sequence[str]], Config]
FEWEST_EPOCHS = 5.0  # that a network must manage in the time
ENOUGH_FOR_STRONG = 30.0  # epochs
UNEVEN = 5.0  # times as many images in the largest class as in the smallest: classes are drawn more evenly
PROBED_STEPS = 3
FEW, HOPELESS = 8, 1.0  # images of a first look, and epochs below which a network is not looked at further
PREPARED_BY = 0.6  # of the networks' share of the time: those not prepared by then are left out
KEPT = {"trainer": ("speed", "threads"), "datamodule": ("height", "width", "channels")}
REPORT_S, REPORT_SHARE = 6.0, 0.01  # CPU-seconds for the report, and a share of the time, kept beside the evaluation's


class Automatic:
    """One pass from data to a complete configuration. fixed: keys that the command line gives, which are kept."""

    def __init__(self, config: Config, run: Run, compose: Compose, fixed: Sequence[str], wanted: AutomaticSettings):
        self.base, self.run, self.compose, self.fixed, self.wanted = config, run, compose, set(fixed), wanted
        self.limits = limits_of(config)
        self.clock = Clock(duration(config["trainer"]["max_time"]).total_seconds())
        self.told: list[Verdict] = []
        self.prepared = 0
        self.data: dict[str, ImageData] = {}

    def decide(self) -> tuple[Config, ImageData]:
        """The complete configuration, its time what is left, and the data that it is about, already prepared."""
        prepare_torch(settings(TrainerSettings, self.base["trainer"], "trainer."))
        chosen = self._look()
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
        data: ImageData = build(self.base["datamodule"], seed=self.base["seed"])
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

    def _network(self, chosen: list[str]) -> Candidate:
        """Networks and image sizes, measured, then compared at equal time."""
        found = [
            Candidate(" ".join([network, *([f"{size} px"] if size else [])]), [*chosen, *overrides, *sized(size)])
            for network, overrides in self._networks()
            for size in self._sizes()
        ]
        for one in found:
            self._prepare(one)
        usable = [one for one in found if not one.refused]
        if not usable:
            raise ValueError(f"experiment=auto: no network works here; {nearest_to_usable(found)}")
        quick = [one for one in usable if self._epochs(one) >= FEWEST_EPOCHS]
        contest = quick or sorted(usable, key=lambda one: one.step_s)[:2]
        for one in found:
            one.too_slow = one not in contest
        best = self._compared(contest, self.wanted.networks_share)
        rest = "; ".join(f"{one.name}: {figures_of(one)}" for one in found if one is not best)
        self._say(
            "network and image size",
            best.name,
            f"{figures_of(best)}, {self._epochs(best):.0f} epochs fit; {rest or 'given'}",
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
        return [(name, [f"models={name}"]) for name in self.wanted.networks]

    def _sizes(self) -> list[int | None]:
        smaller = [size for size in self.wanted.sizes if size < self.side]
        if self.fixed & {"datamodule.height", "datamodule.width"} or not smaller:
            return [None]
        return [*smaller[-2:]]

    def _augmentation(self, best: Candidate) -> Candidate:
        if self.fixed & {"datamodule/augment", "datamodule.augment"}:
            return best
        strong = self._epochs(best) >= ENOUGH_FOR_STRONG
        names = [name for name in self.wanted.augmentations if strong or name not in ("strong", "mix")]
        found = [Candidate(name, [*best.overrides, f"datamodule/augment={name}"]) for name in names]
        for one in found:
            self._vary(one, best)
        chosen = self._compared([one for one in found if not one.refused], self.wanted.augmentations_share)
        rest = "; ".join(f"{one.name}: {figures_of(one)}" for one in found if one is not chosen)
        self._say("augmentation", chosen.name, f"{figures_of(chosen)}; {rest}")
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
        """The automatic optimizer on the chosen network, within its share of the time."""
        assert best.course is not None
        course = Course(best.course.config, best.course.task, best.course.data, best.course.device)
        self._measure(replace(best, course=course))
        if self.fixed & {"optimizers", "optimizers.lr", "optimizers.option"}:
            return
        seconds = span(self.wanted.optimizers_share * self.clock.total)
        given, rules = AutoSettings(max_training_time=seconds), of_choice(course.config["optimizers"])[1]
        with several(course, rules) as trainings:
            found = search(course, arms(course.config["optimizers"], given, rules), given, rules, trainings)
        course.restore()
        course.config["optimizers"] = found.winner.node
        auto_report.write(self.run.folder, found)
        auto_report.tell(found)
        self._say("optimizer and rate", str(found.winner), found.why)

    def _complete(self, best: Candidate) -> tuple[Config, ImageData]:
        """The configuration with the time that is left for training alone."""
        assert best.course is not None
        config, data = best.course.config, best.course.data
        judged = data.sizes["val"] + data.sizes["test"]
        kept = REPORT_S * self.clock.slowness + REPORT_SHARE * self.clock.total + 1.5 * judged / best.images_per_s
        seconds = max(1.0, self.clock.left - kept)
        config["schedulers"]["budget"] = round(seconds, 1)
        config["trainer"]["max_time"] = span(math.ceil(seconds) + 1)
        config["auto"] = None
        self._say("schedule", f"linear to zero within {seconds:.0f} s", f"{self.clock.left:.0f} s were left of "
                  f"{self.clock.total:.0f}, {kept:.0f} of them for evaluation and report")  # fmt: skip
        verdicts.write(self.run.folder, self.told)
        return config, data

    def _prepare(self, one: Candidate) -> None:
        """Data, network, speed and the time of a step; what cannot work, or not in the time, is refused with why."""
        if self.clock.spent > PREPARED_BY * self.wanted.networks_share * self.clock.total and self.prepared:
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
            one.refused = str(error).splitlines()[0][:100]
            return
        one.course = Course(config, task, data, device_of(limits))
        self.prepared += 1
        self._measure(one)
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
        return f"too slow, {1 / per_image:,.0f} images/s" if epochs < HOPELESS and self.prepared else ""

    def _vary(self, one: Candidate, best: Candidate) -> None:
        """The same network in the same mode, on data of its own."""
        assert best.course is not None
        config = self.compose(one.overrides)
        for group in ("trainer", "datamodule"):
            config[group] |= {key: best.course.config[group][key] for key in KEPT[group]}
        best.course.restore()
        one.course = Course(config, best.course.task, self._data(config), best.course.device)
        self._measure(one)

    def _data(self, config: Config) -> ImageData:
        key = digest(config["datamodule"])
        if key not in self.data:
            self.data[key] = build(config["datamodule"], seed=config["seed"])
            self.data[key].prepare()
        return self.data[key]

    def _measure(self, one: Candidate) -> None:
        """What a step takes, and so how long the training in full would be."""
        assert one.course is not None
        make = build(first_arm().node)
        one.course.train(make, 1)
        curve, _ = one.course.train(make, PROBED_STEPS)
        one.step_s = (curve.seconds - curve.judged_seconds) / PROBED_STEPS
        one.course.full_steps = max(1, int(max(self.clock.left, 1.0) * 0.6 / one.step_s))

    def _respect_limits(self, one: Candidate) -> None:
        """Refuses a network that is too slow or too large to be deployed, with what it has."""
        assert one.course is not None
        net = one.course.task.net.eval()
        image: Tensor = one.course._settling()[0][:1]
        one.latency_ms = 1000 * float(torch.tensor(timed(lambda: net(image), image.device)).quantile(0.95))
        net.train()
        figures = {"latency_ms": (one.latency_ms, "ms an image"), "parameters": (parameters(one), "M parameters")}
        for limit in self.limits.given:
            (has, unit), allowed = figures[limit.key], getattr(self.limits, limit.key)
            if has > allowed:
                one.refused = f"{has:.3g} {unit}, {allowed:g} are allowed"
                one.excess = max(one.excess, has / allowed)

    def _epochs(self, one: Candidate) -> float:
        assert one.course is not None
        return one.course.full_steps / one.course.steps_per_epoch

    def _compared(self, contest: list[Candidate], share: float) -> Candidate:
        """Successive halving at equal time; the validation loss of a round's complete schedules decides."""
        if len(contest) == 1:
            return contest[0]
        counts, left = sizes(len(contest), 3), contest
        for count in counts:
            slice_s = share * self.clock.total / len(counts) / count
            for one in left:
                one.loss = self._short(one, slice_s)
            left = sorted(left, key=lambda one: one.loss)[: -(-count // 3)]
        return left[0]

    def _short(self, one: Candidate, seconds: float) -> float:
        assert one.course is not None
        steps = max(PROBED_STEPS, int(seconds / (1.35 * one.step_s)))
        arm = first_arm()
        curve, _ = short_training(one.course, arm, steps, SearchSettings(), time.monotonic() + 1.5 * seconds)
        return curve.val_loss
