"""The report's sections of each of several heads."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from torch import Tensor, nn

from datamodule.heads import Head
from models.inference import Predictions
from utils.report import Block, Charts, Section


class Part(nn.Module):
    """A network that answers for some of its classes alone: image (B, C, H, W) → logits (B, these classes)."""

    def __init__(self, net: nn.Module, columns: slice) -> None:
        super().__init__()
        self.net, self.columns = net, columns

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.net(image)
        return logits[:, self.columns]


def predictions_of(found: Predictions, head: Head, place: int) -> Predictions:
    """One head's, as those of a single classification."""
    return Predictions(found.rows, found.target[:, place] - head.start, found.logits[:, head.columns])


def counts_of(target: Any, head: Head, place: int) -> Any:
    """Images of each of a head's classes (classes,). target: (n, heads)."""
    return np.bincount(np.asarray(target)[:, place] - head.start, minlength=len(head.classes))


def named(sections: Sequence[Section], head: Head) -> list[Section]:
    """The same with the head's name in their titles and in the files of their charts."""
    prefix = re.sub(r"[^A-Za-z0-9_.-]+", "_", head.name)
    return [
        replace(
            section,
            title=f"{section.title}: {head.name}",
            blocks=tuple(_renamed(block, prefix) for block in section.blocks),
        )
        for section in sections
    ]


def _renamed(block: Block, prefix: str) -> Block:
    if not isinstance(block, Charts):
        return block
    return replace(block, charts=tuple(replace(chart, name=f"{prefix}_{chart.name}") for chart in block.charts))
