"""Short trainings of one network under equal conditions: same initial weights, same batches, own complete schedule."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count, islice
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from datamodule.batches import Batch, BatchLoader
from datamodule.data import ImageData
from models.inference import ready
from models.settings import TrainerSettings
from models.speed import Speed
from models.task import ImageTask
from utils.build import build, settings

Config = dict[str, Any]
Optimizer = torch.optim.Optimizer
MakeOptimizer = Callable[[nn.Module], Optimizer]

FEWEST_JUDGED = 512  # validation images
TEMPERED = 2000  # of them, at most, that a temperature is fitted to
SETTLING = 256  # training images from which BatchNorm's averages are taken before a network is judged
LOOKS = (1.0, 0.9, 0.5, 0.95, 0.75, 0.25)  # shares of a training at which it is validated, the most telling first
JUDGED_FROM = 0.9  # the mean of the validation losses from this share on is the figure that counts
DIVERGED = 3.0  # times the first loss, smoothed,
IN_A_ROW = 3  # and in each of so many last steps: a rate that overshoots at first comes back sooner
OUT_OF_TIME = "out of time"
SMOOTHING = 0.9  # of the training loss, per step


@dataclass
class Curve:
    """What a short training showed: losses by step, and whether it ended early, in words."""

    steps: int = 0  # planned
    train: list[tuple[int, float]] = field(default_factory=list)  # smoothed
    val: list[tuple[int, float]] = field(default_factory=list)
    seconds: float = 0.0
    judged_seconds: float = 0.0  # of them, for validation
    judged_images: int = 0  # in them
    dropped: str = ""
    _sum: float = 0.0
    _high: int = 0  # steps in a row

    def note(self, step: int, loss: float) -> None:
        """Adds to the smoothed training loss; one that is not finite, or has grown far and stays there, ends it."""
        self._sum = SMOOTHING * self._sum + (1 - SMOOTHING) * loss
        self.train.append((step, self._sum / (1 - SMOOTHING**step)))
        (_, first), (_, now) = self.train[0], self.train[-1]
        limit = DIVERGED * max(first, 1e-3)
        self._high = self._high + 1 if loss > limit else 0
        if not math.isfinite(loss):
            self.dropped = f"its loss is not finite at step {step}"
        elif now > limit and self._high >= IN_A_ROW:
            self.dropped = f"its loss rose from {first:.3g} to {now:.3g} by step {step}"

    @property
    def val_loss(self) -> float:
        """Smoothed over the end of the schedule; infinite for what was dropped."""
        last = [loss for step, loss in self.val if step >= round(JUDGED_FROM * self.steps)]
        mean = math.nan if self.dropped or not last else sum(last) / len(last)
        return mean if math.isfinite(mean) else math.inf

    @property
    def train_loss(self) -> float:
        """The smoothed one at the end."""
        return math.inf if self.dropped or not self.train else self.train[-1][1]


@dataclass(frozen=True)
class State:
    """Weights and the optimizer's own state after a training, on the CPU."""

    weights: dict[str, Tensor]
    optimizer: dict[Any, Any]


class Course:
    """What all short trainings of a run share. The task's network is used, and given back with its initial weights.

    Batches, augmentation and dropout depend on (seed, epoch, sample) and (seed, epoch, batch) alone, as in the run.
    A step here sees as many images as one of all processes that will train together. share: of the training images,
    which are all that is drawn. deadline: of time.monotonic(), for all trainings.
    """

    def __init__(
        self,
        config: Config,
        task: ImageTask,
        data: ImageData,
        device: torch.device,
        share: float = 1.0,
        deadline: float = math.inf,
    ) -> None:
        limits = settings(TrainerSettings, config["trainer"], "trainer.")
        self.config, self.task, self.data, self.device = config, task, data, device
        self.deadline = deadline
        self.speed, self.clip = Speed(limits.speed), limits.gradient_clip_val
        self.accumulated = limits.accumulate_grad_batches * processes(limits)
        self._rows = data.training_share(share) if share < 1 else None
        self.batches_per_epoch = data.steps_per_epoch(rows=self._rows)
        self.steps_per_epoch = -(-self.batches_per_epoch // self.accumulated)
        self.full_steps = self.steps_per_epoch * limits.max_epochs
        if limits.max_steps > 0:
            self.full_steps = min(self.full_steps, limits.max_steps)
        self.initial = copied(task.net.state_dict())
        self.images_per_step = data.batch_size * self.accumulated
        self._epoch = 0
        self._loader: BatchLoader | None = None
        self._settled_on: list[Tensor] = []

    def restore(self) -> None:
        """The network as it was, on the CPU."""
        self.task.to("cpu").train()
        self.task.net.load_state_dict(self.initial)

    def batches(self) -> Iterator[tuple[int, int, Batch]]:
        """Epoch, number within it, and batch, for as long as one likes; always the same ones."""
        self._loader = self._loader or self.data.training_loader(lambda _: (self._epoch, 0), self._rows)
        for epoch in count():
            self._epoch = epoch
            for number, batch in enumerate(ready(self.data, self._loader, self.device)):
                yield epoch, number, batch

    def judges(self, steps: int) -> BatchLoader:
        """The validation images that judge a training of so many steps: the same ones for all of that length."""
        self.data.require_validation("short trainings")
        rows = self.data.inventory.rows("val")
        wanted = max(FEWEST_JUDGED, steps * self.images_per_step // 2)
        if wanted < len(rows):
            rows = np.sort(np.random.default_rng(self.task.seed).choice(rows, wanted, replace=False))
        return self.data.rows_dataloader(rows, "judging")

    def train(
        self, make_optimizer: MakeOptimizer, steps: int, until: int | None = None, deadline: float = math.inf
    ) -> tuple[Curve, State]:
        """One training from the initial weights under a schedule of `steps`; `until`: how many of them, all by default.

        deadline: of time.monotonic(); what is not done by then, or by that of the course, is dropped.
        """
        until, deadline = until or steps, min(deadline, self.deadline)
        curve, started = Curve(until), time.monotonic()
        if started > deadline:
            curve.dropped = OUT_OF_TIME
            return curve, State({}, {})
        self.task.to(self.device).train()
        self.task.net.load_state_dict(self.initial)
        optimizer = make_optimizer(self.task.net)
        judges, settling = self.judges(until), self.settling()
        looks = looks_at(until, self.images_per_step, len(self.data.inventory.rows("val")))
        for step, loss in self._steps(optimizer, steps, until):
            curve.note(step, float(loss))
            if step in looks and not curve.dropped:
                self._judge(curve, step, judges, settling)
            if time.monotonic() > deadline:
                curve.dropped = curve.dropped or OUT_OF_TIME
            if curve.dropped:
                break
        curve.seconds = time.monotonic() - started
        return curve, State(copied(self.task.net.state_dict()), copied(optimizer.state_dict()["state"]))

    def _steps(self, optimizer: Optimizer, total: int, until: int) -> Iterator[tuple[int, Tensor]]:
        """Steps from 1 on, each with its loss."""
        schedule = self.schedule(optimizer, total)
        scaler = torch.amp.GradScaler(self.device.type, enabled=self.speed.precision == "16-mixed")
        batches = self.batches()
        for step in range(1, until + 1):
            yield step, self.step(optimizer, scaler, batches)
            schedule.step()

    def step(self, optimizer: Optimizer, scaler: Any, batches: Iterator[tuple[int, int, Batch]]) -> Tensor:
        """One step of the optimizer, its gradients accumulated as in the run; answers the mean loss."""
        losses: list[Tensor] = []
        for epoch, number, batch in batches:
            self.task.seed_step(epoch, number)
            losses.append(self.loss(batch))
            scaler.scale(losses[-1] / self.accumulated).backward()
            if len(losses) == self.accumulated or number + 1 == self.batches_per_epoch:
                break
        if self.clip:
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(self.task.net.parameters(), self.clip)
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
        return torch.stack(losses).detach().mean()

    def loss(self, batch: Batch) -> Tensor:
        """Of one training batch, with what a teacher adds."""
        with self.speed.autocast(self.device):
            logits = self.task.net(batch.image)
            value: Tensor = self.task.loss(logits, batch.target)
            if self.task.distill is not None:
                value = self.task.distill.loss(value, batch.image, logits, self.task.distance)
        return value

    def schedule(self, optimizer: Optimizer, steps: int) -> Any:
        """The run's own schedule over so many steps; in place of one that follows a clock or the figures, its shape."""
        node = self.config["schedulers"]
        if node["_target_"].rpartition(".")[2] in ("TimeBudget", "Plateau"):
            shape = "linear" if node.get("shape") == "linear" else "cosine"
            node = {"_target_": f"models.schedulers.{shape}", "_partial_": True, "warmup": node.get("warmup", 0.05)}
        return build(node)(optimizer, total_steps=steps, steps_per_epoch=self.steps_per_epoch)

    def _judge(self, curve: Curve, step: int, judges: BatchLoader, settling: list[Tensor]) -> None:
        began = time.monotonic()
        loss, images = self._validated(judges, settling)
        curve.val.append((step, loss))
        curve.judged_seconds += time.monotonic() - began
        curve.judged_images += images

    @torch.no_grad()
    def _validated(self, judges: BatchLoader, settling: list[Tensor]) -> tuple[float, int]:
        """The mean loss, and how many images went through the network for it."""
        with settled_norms(self.task.net, settling) as settled, self.speed.autocast(self.device):
            forward = self.task.net.forward  # a short validation is not worth compiling
            batches = ready(self.data, judges, self.device)
            loss, images = judged(self.task, ((forward(batch.image), batch.target) for batch in batches))
        return loss, images + settled

    def settling(self) -> list[Tensor]:
        """A few training images, the same each time; taken before a training starts to draw from the same loader."""
        if not self._settled_on:
            enough = -(-SETTLING // self.data.batch_size)
            self._settled_on = [batch.image for _, _, batch in islice(self.batches(), enough)]
        return self._settled_on


def judged(task: ImageTask, answers: Iterable[tuple[Tensor, Tensor]]) -> tuple[float, int]:
    """The mean loss of logits and targets (B, …), and how many there are; infinite where the logits are no numbers.

    Where passes over few images make a network surer than it may be, the bare loss speaks for whatever has trained
    least (as of a run's epochs, models/keeping.py): probabilities that are too sure are brought to the temperature that
    suits them best. Those that are not sure enough are a sign of too little training, and stay.
    """
    if task.says_probabilities:
        logits, target = (torch.cat(parts) for parts in zip(*answers, strict=True))
        if not logits.isfinite().all():
            return math.inf, len(target)
        some = slice(None, None, -(-len(target) // TEMPERED))
        found = task.temperature(logits[some].float().cpu().numpy(), target[some].cpu().numpy())
        cooler = [max(one, 1.0) for one in found] if isinstance(found, list) else max(found or 1.0, 1.0)
        answers = [(task.scaled(logits.float(), cooler), target)]
    total, images = torch.zeros(()), 0
    for logits, target in answers:
        total = total.to(logits.device) + task.loss(logits, target).float() * len(target)
        images += len(target)
    return float(total) / images, images


@contextmanager
def settled_norms(net: nn.Module, images: Sequence[Tensor]) -> Iterator[int]:
    """Evaluation with BatchNorm's averages taken anew; its running ones lag behind the weights in a short training.

    Yields from how many images they were taken.
    """
    norms = [part for part in net.modules() if isinstance(part, _BatchNorm) and part.track_running_stats]
    before = [(part.momentum, copied(part.state_dict())) for part in norms]
    net.eval()
    for part in norms:
        part.reset_running_stats()
        part.momentum = None  # a plain mean over all batches
        part.train()
    images = images if norms else ()
    for image in images:
        net.forward(image)
    net.eval()
    yield sum(map(len, images))
    for part, (momentum, state) in zip(norms, before, strict=True):
        part.momentum = momentum
        part.load_state_dict(state)
    net.train()


def looks_at(steps: int, images_per_step: int, judging: int) -> list[int]:
    """The steps at which a training is validated: the more of them, the cheaper a validation is beside it."""
    several = min(max(steps * images_per_step // max(min(judging, FEWEST_JUDGED), 1), 2), len(LOOKS))
    return sorted({max(1, round(share * steps)) for share in LOOKS[:several]})


def copied(state: Any) -> Any:
    """A copy on the CPU of a state with tensors somewhere in it."""
    if isinstance(state, Tensor):
        return state.detach().to("cpu", copy=True)
    if isinstance(state, dict):
        return {key: copied(value) for key, value in state.items()}
    if isinstance(state, list | tuple):
        return type(state)(copied(value) for value in state)
    return state


def processes(limits: TrainerSettings) -> int:
    """How many train together, as far as the settings tell."""
    devices = limits.devices
    local = len(devices) if isinstance(devices, list) else int(devices) if str(devices).isdigit() else 1
    return max(1, local) * limits.num_nodes


def with_state(make_optimizer: MakeOptimizer, state: dict[Any, Any], net: nn.Module) -> Optimizer:
    """The optimizer with an earlier one's moments; rates, decay and groups are its own."""
    optimizer = make_optimizer(net)
    optimizer.load_state_dict(optimizer.state_dict() | {"state": state})
    return optimizer
