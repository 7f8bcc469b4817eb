"""Knowledge distillation: a second loss that pulls a network towards another run's answers (arXiv:1503.02531)."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from datamodule.preprocessing import Preprocessing
from models.model_file import Manifest, load_model
from models.predictor import preprocessing
from models.runs import find
from models.scores import Task

Compare = Callable[[Tensor, Tensor], Tensor]  # the student's and the teacher's answers → a loss


class Teacher(nn.Module):
    """A trained network that is shown a student's batches, brought to what it was trained on.

    image (B, C, H, W), normalised the student's way → its answers. resized: whether to the size it was trained on.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, net: nn.Module, own: Preprocessing, of_student: Preprocessing, resized: bool) -> None:
        super().__init__()
        self.net = net.requires_grad_(False).eval()
        self.size = (own.height, own.width) if resized else (of_student.height, of_student.width)
        mean, std, student_mean, student_std = (
            torch.tensor(numbers).view(-1, 1, 1)
            for numbers in (own.mean, own.std, of_student.mean, of_student.std)
        )  # fmt: skip
        self.register_buffer("scale", student_std / std)
        self.register_buffer("shift", (student_mean - mean) / std)

    def forward(self, image: Tensor) -> Tensor:
        seen = image * self.scale + self.shift
        if seen.shape[2:] != self.size:
            seen = F.interpolate(seen, self.size, mode="bilinear", antialias=True)
        answers: Tensor = self.net(seen)
        return answers


class Distillation:
    """What `task.distill` says and, once it is loaded, the teacher; no part of the student's weights or checkpoints.

    teacher: a run or a folder with model.json; null: none. weight: the teacher's share of the loss, the rest is the
    task's own. temperature: what both answers' logits are divided by. sha256: what the teacher's weights must be; null:
    whatever they are. logs: where runs lie.
    """

    def __init__(
        self,
        teacher: str | None = None,
        weight: float = 0.5,
        temperature: float = 4.0,
        sha256: str | None = None,
        logs: str = "logs",
    ) -> None:
        if not 0 < weight <= 1:
            raise ValueError(f"task.distill.weight={weight}: use a share above 0 and up to 1 (the teacher alone)")
        if temperature <= 0:
            raise ValueError(f"task.distill.temperature={temperature}: use a number above 0")
        self.teacher, self.weight, self.temperature = teacher, weight, temperature
        self.sha256, self.logs = sha256, logs
        self.net: Teacher | None = None

    def load(self, task: Task, classes: Sequence[str], shape: Preprocessing) -> None:
        """Raises ValueError where the run has no model, or one that cannot teach this task, these classes or images."""
        assert self.teacher is not None
        try:
            place = Path(self.teacher).expanduser()
            folder = place if (place / "model.json").is_file() else find(self.teacher, self.logs).folder
            net, manifest = load_model(folder)
        except ValueError as error:
            raise ValueError(f"task.distill.teacher={self.teacher}: {error}") from error
        own = preprocessing(manifest)
        if reason := self._unfit(manifest, task, classes, own.channels, shape.channels):
            raise ValueError(f"task.distill.teacher={self.teacher} {reason}")
        self.teacher, self.sha256 = str(folder.absolute()), manifest.weights_sha256
        self.net = Teacher(net, own, shape, resized=task != "segmentation")

    def _unfit(self, manifest: Manifest, task: Task, classes: Sequence[str], channels: int, own_channels: int) -> str:
        """Why this model cannot be the teacher, or ""."""
        if manifest.task != task:
            return f"was trained on task={manifest.task}, this is task={task}: name a run of the same task"
        if manifest.classes != list(classes):
            only = [sorted(set(one) - set(other)) for one, other in ((manifest.classes, classes),
                                                                   (classes, manifest.classes))]  # fmt: skip
            told = f"it alone has {only[0]}, this run alone {only[1]}" if any(only) else "they are in another order"
            return f"has other classes ({told}): name a run on the same classes, or set datamodule.class_names"
        if channels != own_channels:
            return f"takes images of {channels} channels, these have {own_channels}: set datamodule.channels={channels}"
        if self.sha256 not in (None, manifest.weights_sha256):
            return (
                f"is not the teacher that this run had (weights {manifest.weights_sha256[:12]}, not "
                f"{str(self.sha256)[:12]}): put the same model there, or set task.distill.sha256=null"
            )
        return ""

    def settled(self) -> dict[str, str | None]:
        """What a rerun needs to have the same teacher."""
        return {"teacher": self.teacher, "sha256": self.sha256}

    def loss(self, own: Tensor, image: Tensor, answers: Tensor, compare: Compare) -> Tensor:
        """The task's own loss with the teacher's part in it. answers: of the student to the same batch."""
        return (1 - self.weight) * own + self.weight * compare(answers, self.taught(image))

    @torch.no_grad()
    def taught(self, image: Tensor) -> Tensor:
        """The teacher's answers to a batch (B, …), on its device."""
        assert self.net is not None
        answers: Tensor = self.net.to(image.device)(image)
        return answers.float()


def softmax_distance(logits: Tensor, taught: Tensor, temperature: float) -> Tensor:
    """Kullback–Leibler divergence of softened class shares, mean over samples and pixels, times temperature squared.

    logits, taught: (B, K, …). The square keeps the gradients' size whatever the temperature (arXiv:1503.02531, §2).
    """
    own, theirs = ((one.float() / temperature).log_softmax(1) for one in (logits, taught))
    return temperature**2 * F.kl_div(own, theirs, reduction="none", log_target=True).sum(1).mean()


def sigmoid_distance(logits: Tensor, taught: Tensor, temperature: float) -> Tensor:
    """The same of labels that are each for themselves, (B, labels), mean over them."""
    own, theirs = logits.float() / temperature, taught.float() / temperature
    share = theirs.sigmoid()
    return temperature**2 * (share * (F.logsigmoid(theirs) - F.logsigmoid(own))
                             + (1 - share) * (F.logsigmoid(-theirs) - F.logsigmoid(-own))).mean()  # fmt: skip
