"""The base of all tasks: one step for three stages, keyed randomness, optimizer and schedule handed in."""

from collections.abc import Callable, Mapping, Sequence
from functools import partialmethod
from typing import Any, ClassVar

import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchmetrics import Metric, MetricCollection

from datamodule.batches import Batch
from datamodule.data import ImageData
from models.distillation import Distillation, softmax_distance
from models.draws import seed_draws
from models.figures import LOSS
from models.named_metrics import counting
from models.scores import Evaluation, Task, Temperature
from utils.signature import nearest

Array = NDArray[Any]
Optimizer = torch.optim.Optimizer
NEVER = 10**9  # epochs
Schedule = Callable[..., torch.optim.lr_scheduler.LRScheduler]


class ImageTask(pl.LightningModule):
    """A network with its loss, metrics, optimizer and schedule; a task says what loss and metrics see of the logits.

    net: image (B, C, H, W) float → logits. optimizer: called with the network. schedule: called with the optimizer,
    total_steps and steps_per_epoch. metrics: torchmetrics by name, logged as `val/<name>`. distill: a teacher or none.

    Each training step's random numbers (dropout, drop path) come from (seed, epoch, batch, rank) alone, so that a run
    resumed in mid-epoch draws what the undisturbed one would have drawn.
    """

    name: ClassVar[Task]
    says_probabilities: ClassVar[bool] = True  # whose certainty a temperature puts right

    def __init__(
        self,
        net: nn.Module,
        loss: nn.Module,
        optimizer: Callable[[nn.Module], Optimizer],
        schedule: Schedule,
        metrics: Mapping[str, Metric],
        seed: int,
        distill: Distillation | None = None,
    ) -> None:
        super().__init__()
        self.net, self.loss, self.make_optimizer, self.make_schedule, self.seed = net, loss, optimizer, schedule, seed
        self.distill = None if distill is None or distill.teacher is None else distill
        self.metrics = MetricCollection(dict(metrics), prefix="val/")
        # (sum of losses over images, images); no buffers, since averaged weights would average them too
        self.loss_sums = {"train": torch.zeros(2), "val": torch.zeros(2)}
        self.left_out: Tensor | None = None  # (rows of the inventory,) bool: forwarded, but not in the training loss

    def prepare(self, data: ImageData) -> None:
        """What a training needs besides; raises ValueError where data and teacher do not belong together."""
        if self.distill is not None:
            self.distill.load(self.name, data.classes, data.preprocessing)

    def choices(self) -> dict[str, Any]:
        """What `prepare` settled on, as values of this task's configuration."""
        return {} if self.distill is None else {"distill": self.distill.settled()}

    def forward(self, image: Tensor) -> Tensor:
        return self.net(image)

    def step(self, batch: Batch, batch_idx: int, stage: str) -> dict[str, Tensor]:
        """The loss, and the logits for callbacks that look at each sample."""
        logits = self(batch.image)
        loss = self.loss_of(logits, batch, stage)
        if stage == "train" and self.distill is not None:
            loss = self.distill.loss(loss, batch.image, logits, self.distance)
        self._add_loss(loss.detach().float(), len(batch.image), stage)
        if stage == "val":
            with counting():
                self.metrics.update(self.prediction(logits), self.truth(batch.target))
        return {"loss": loss, "logits": logits.detach()}

    def loss_of(self, logits: Tensor, batch: Batch, stage: str) -> Tensor:
        """In training without the samples that are left out; zero where that is the whole batch."""
        if stage != "train" or self.left_out is None:
            return self.loss(logits, batch.target)
        kept = (~self.left_out[batch.index]).nonzero()[:, 0].to(logits.device, non_blocking=True)
        return self.loss(logits[kept], batch.target[kept]) if len(kept) else logits.sum() * 0

    def _add_loss(self, loss: Tensor, count: int, stage: str) -> None:
        images = torch.full_like(loss, count)
        self.loss_sums[stage] = self.loss_sums[stage].to(loss.device) + torch.stack([loss * images, images])

    training_step = partialmethod(step, stage="train")
    validation_step = partialmethod(step, stage="val")

    def distance(self, logits: Tensor, taught: Tensor) -> Tensor:
        """How far the answers are from a teacher's to the same batch; both (B, …)."""
        assert self.distill is not None
        return softmax_distance(logits, taught, self.distill.temperature)

    def prediction(self, logits: Tensor) -> Tensor:
        """What the metrics see; float32, since a metric in bf16 counts wrong."""
        return logits.float()

    def truth(self, target: Tensor) -> Tensor:
        """What the metrics compare it with."""
        return target

    def kept(self, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """What an evaluation needs of a batch's logits and targets; all of it, unless that is too much to keep."""
        return logits, target

    @torch.inference_mode()
    def check(self, image: Tensor) -> None:
        """Raises ValueError where the network's answer has not the task's shape. image: (B, C, H, W)."""
        training, wanted = self.net.training, (len(image), *self.answer_shape(image))
        found = tuple(self.net.eval()(image).shape)
        self.net.train(training)
        if found != wanted:
            raise ValueError(
                f"{type(self.net).__name__} answers {found} to images of {tuple(image.shape)}, task={self.name} takes "
                f"{wanted}; choose another of models="
            )

    def answer_shape(self, image: Tensor) -> tuple[int, ...]:
        """Of one image's logits."""
        raise NotImplementedError

    def architecture(self, node: dict[str, Any]) -> dict[str, Any]:
        """The node that `build` makes this task's network from. node: the same of what `models` names."""
        return node

    def temperature(self, logits: Array, target: Array) -> Temperature:
        """What to divide logits by so that probabilities can be trusted; None where a task has no probabilities."""
        return None

    def scaled(self, logits: Tensor, temperature: Temperature) -> Tensor:
        """Logits (B, …) over the temperature."""
        assert not isinstance(temperature, list)
        return logits if temperature is None else logits / temperature

    def costs(self, logits: Array, target: Array) -> Array:
        """What each image's answer costs (images,): two trainings' answers to the same images are compared by it."""
        raise NotImplementedError

    def evaluation(self, logits: Array, target: Array, classes: Sequence[str], temperature: Temperature) -> Evaluation:
        """Every figure of merit of one split; the bootstrap's random numbers are fixed, so figures repeat."""
        raise NotImplementedError

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        self.seed_step(self.current_epoch, batch_idx, self.global_rank)

    def seed_step(self, epoch: int, batch_idx: int, rank: int = 0) -> None:
        """Sets what dropout and the like draw from in this step."""
        seed_draws(step_seed(self.seed, epoch, batch_idx, rank), self.device)

    def on_train_epoch_start(self) -> None:
        self.loss_sums["train"] = torch.zeros(2)

    def on_train_epoch_end(self) -> None:
        self.log("train/loss", self.mean_loss("train"), sync_dist=True)

    def on_validation_epoch_start(self) -> None:
        self.loss_sums["val"] = torch.zeros(2)
        self.metrics.reset()

    def on_validation_epoch_end(self) -> None:
        self.log(LOSS, self.mean_loss("val"), sync_dist=True)
        self.log_dict(self.metrics.compute())
        if self.trainer.state.fn == "fit":
            self._step_plateau()

    def mean_loss(self, stage: str) -> float:
        """Mean over the images seen so far in this epoch."""
        total, count = self.loss_sums[stage].tolist()
        return total / max(count, 1)

    def require(self, figure: str, key: str) -> None:
        """Raises ValueError unless each validation logs this figure. key: what asks for it."""
        known = [LOSS, *map(str, self.metrics)]
        if figure not in known:
            told = f"{nearest(figure, known)} (a validation logs: {', '.join(known)})"
            raise ValueError(f"{key}={figure} is not logged by a validation; {told}")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["loss_sums"] = self.loss_sums

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.loss_sums = checkpoint["loss_sums"]

    def configure_optimizers(self) -> Any:
        optimizer = self.make_optimizer(self.net)
        per_epoch = self._steps_per_epoch()
        schedule = self.make_schedule(optimizer, total_steps=self._total_steps(per_epoch), steps_per_epoch=per_epoch)
        how = (
            {"interval": "epoch", "frequency": NEVER, "monitor": LOSS}
            if _is_plateau(schedule)
            else {"interval": "step"}
        )
        if _is_plateau(schedule):
            self.trainer.datamodule.require_validation("schedulers=plateau")  # type: ignore[attr-defined]
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, **how}}

    def _step_plateau(self) -> None:
        """Right after the figures are known, before a checkpoint is written: Lightning's own moment is after it, and
        left out in the first epoch of a resumed run, whose rates would then differ."""
        schedule: Any = self.lr_schedulers()
        if _is_plateau(schedule) and self.trainer.fit_loop.epoch_loop._num_ready_batches_reached():
            schedule.step(self.mean_loss("val"))

    def _steps_per_epoch(self) -> int:
        """Lightning's own estimate would start the loader before a resumed run knows its place in the epoch."""
        batches = self.trainer.datamodule.steps_per_epoch(self.trainer.world_size)  # type: ignore[attr-defined]
        return -(-batches // self.trainer.accumulate_grad_batches)

    def _total_steps(self, per_epoch: int) -> int:
        steps = per_epoch * (self.trainer.max_epochs or 1)
        return min(steps, self.trainer.max_steps) if self.trainer.max_steps > 0 else steps


def _is_plateau(schedule: Any) -> bool:
    return isinstance(schedule, torch.optim.lr_scheduler.ReduceLROnPlateau)


def step_seed(seed: int, epoch: int, batch: int, rank: int) -> int:
    """A 63-bit seed of its own for each step (splitmix64's finisher over the mixed-in numbers)."""
    state = seed
    for number in (epoch, batch, rank):
        state = (state * 0x9E3779B97F4A7C15 + number + 1) & (2**64 - 1)
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & (2**64 - 1)
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & (2**64 - 1)
        state ^= state >> 31
    return state >> 1
