"""What a round's training starts from: the beginning, the last round, or the last round shrunk and perturbed."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from safetensors.torch import save
from torch import Tensor

from models.model_file import load_weights
from utils.files import write_whole

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Beginning:
    """What is known when a round begins.

    labels: to train on. first: weights that the first round starts from, or None for fresh ones. last: the last round's
    weights, None in the first one. fresh: makes newly initialised weights. folder: of this round.
    """

    labels: int
    first: Path | None
    last: Path | None
    fresh: "Fresh"
    folder: Path


class Fresh(Protocol):
    def __call__(self) -> Weights:
        """Newly initialised weights of the round's seed."""


class Retrain(Protocol):
    """Answers the file of weights that a round starts from; None: fresh ones."""

    def start(self, at: Beginning) -> Path | None: ...


class Cold:
    """Each round starts where the first one did."""

    def start(self, at: Beginning) -> Path | None:
        return at.first


class Warm:
    """Each round goes on from the last one's weights."""

    def start(self, at: Beginning) -> Path | None:
        return at.last or at.first


class ShrinkPerturb:
    """The last weights times `shrink`, plus fresh ones times `perturb` (Ash & Adams 2020, arXiv:1910.08475)."""

    def __init__(self, shrink: float = 0.4, perturb: float = 0.1) -> None:
        if not 0 <= shrink <= 1 or perturb < 0:
            raise ValueError(
                f"active.retrain.shrink={shrink}, perturb={perturb}: shrink from 0 to 1, perturb 0 or more"
            )
        self.shrink, self.perturb = shrink, perturb

    def start(self, at: Beginning) -> Path | None:
        if at.last is None:
            return at.first
        file = at.folder / "start.safetensors"
        write_whole(file, save(mixed(load_weights(at.last), at.fresh(), self.shrink, self.perturb)))
        return file


class Auto(ShrinkPerturb):
    """Cold while there are fewer labels than `labels`, where a training is short and warm starts generalise worse."""

    def __init__(self, labels: int = 10_000, shrink: float = 0.4, perturb: float = 0.1) -> None:
        super().__init__(shrink, perturb)
        self.labels = labels

    def start(self, at: Beginning) -> Path | None:
        return at.first if at.labels < self.labels else super().start(at)


def mixed(last: Weights, fresh: Weights, shrink: float, perturb: float) -> Weights:
    """Parameters mixed; what BatchNorm counted and measured (running means and variances) stays as it was."""
    return {
        name: tensor
        if not tensor.is_floating_point() or "running_" in name
        else (shrink * tensor + perturb * fresh[name]).contiguous()
        for name, tensor in last.items()
    }
