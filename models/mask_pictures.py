"""Masks laid over their images, for a report."""

import colorsys
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from datamodule.data import ImageData
from datamodule.transforms import IGNORED
from models.inference import Predictions, ready
from utils.report import Gallery, Picture, Section, Text

Array = NDArray[Any]

SHOWN = 12
OPACITY = 0.55
MOST_NAMED = 8  # classes
HUES = ("red", "orange", "yellow", "lime", "green", "mint", "cyan", "azure", "blue", "violet", "magenta", "pink")
GOLDEN = 0.618034  # of the circle: neighbours in number are far apart in colour


def mask_section(found: Predictions, data: ImageData, net: nn.Module) -> Section:
    """The images with the most wrong pixels: what the network says and, beside it, the truth."""
    wrong = 1 - np.trace(found.logits, axis1=1, axis2=2) / np.maximum(found.target.sum(axis=1), 1)
    worst = np.argsort(-wrong, kind="stable")[:SHOWN]
    if not len(worst):
        return Section("Masks", (Text("There is no image."),))
    rows = found.rows[worst]
    pictures = [
        Picture(
            said,
            title=str(data.inventory.path[row]),
            note=f"{100 * share:.1f} % wrong",
            share=float(share),
            beside=truth,
        )
        for row, share, (said, truth) in zip(rows, wrong[worst], _pairs(rows, data, net), strict=True)
    ]
    note = f"What the network says, beside it the truth, the most wrong pixels first. {legend(data.classes)}"
    return Section("Masks", (Gallery(tuple(pictures)),), note)


def legend(classes: Sequence[str]) -> str:
    """Which class has which colour, as long as words can tell these apart."""
    plain = f"{classes[0]} has no colour"
    if len(classes) > MOST_NAMED:
        return f"{plain}."
    told = [f"{name} is {HUES[round(hue_of(place) * len(HUES)) % len(HUES)]}" for place, name in enumerate(classes)]
    return f"{plain}, {', '.join(told[1:])}."


def hue_of(number: int) -> float:
    """Of a class, between 0 and 1 on the circle of colours."""
    return number * GOLDEN % 1


@torch.inference_mode()
def _pairs(rows: NDArray[np.int64], data: ImageData, net: nn.Module) -> list[tuple[Array, Array]]:
    """Of each row its image under the mask that the network says, and under its true one."""
    device, shown = next(net.parameters()).device, []
    mean, std = (np.asarray(part) for part in (data.preprocessing.mean, data.preprocessing.std))
    for batch in ready(data, data.rows_dataloader(rows, "pictures"), device):
        images = batch.image.permute(0, 2, 3, 1).cpu().numpy() * std + mean
        said = net(batch.image).argmax(1).cpu().numpy()
        masks = zip(images, said, batch.target.cpu().numpy(), strict=True)
        shown += [(painted(image, own), painted(image, truth)) for image, own, truth in masks]
    return shown


def painted(image: Array, mask: Array) -> Array:
    """image: (H, W, C) of 0..1; mask: (H, W) class numbers, of which 0 and 255 let the image through. uint8 RGB."""
    shade = np.stack([image[..., place] for place in ((0, 1, 2) if image.shape[2] >= 3 else (0, 0, 0))], axis=2)
    colours = np.array([colorsys.hsv_to_rgb(hue_of(number), 0.9, 1.0) for number in range(256)])[mask]
    opacity = np.where((mask > 0) & (mask != IGNORED), OPACITY, 0.0)[..., None]
    blended: Array = (np.clip(shade * (1 - opacity) + colours * opacity, 0, 1) * 255).round().astype(np.uint8)
    return blended
