"""Test-time augmentation: a network that looks at each image several times and answers with the mean."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Move = Callable[[Tensor], Tensor]  # (B, C, H, W) → the same shape
SHARE_SHIFTED = 1 / 32  # of the shorter side


class Views(nn.Module):
    """The mean of the network's answers to an image as it is, mirrored, shifted; all of them where both are chosen.

    image (B, C, H, W) → logits (B, …). Logits of each pixel are moved back before the mean is taken.
    flip: mirror left and right. pixels: distance of the shifts up, down, left and right; 0 for none.
    """

    def __init__(self, net: nn.Module, flip: bool, pixels: int) -> None:
        super().__init__()
        self.net = net
        shifts = [(0, 0), *([(-pixels, 0), (pixels, 0), (0, -pixels), (0, pixels)] if pixels else [])]
        self.views = [(mirrored, by) for mirrored in ([False, True] if flip else [False]) for by in shifts]
        self.name = f"{len(self.views)} views" + (f" ({_words(flip, pixels)})" if len(self.views) > 1 else "")

    def forward(self, image: Tensor) -> Tensor:
        return torch.stack([self._seen(image, mirrored, by) for mirrored, by in self.views]).mean(0)

    def _seen(self, image: Tensor, mirrored: bool, by: tuple[int, int]) -> Tensor:
        logits: Tensor = self.net(shifted(image.flip(3) if mirrored else image, *by)).float()
        if logits.ndim != 4:
            return logits
        back = shifted(logits, -by[0], -by[1])
        return back.flip(3) if mirrored else back


def shifted(image: Tensor, down: int, right: int) -> Tensor:
    """(B, C, H, W) moved by whole pixels; the border repeats the outermost row or column."""
    if not down and not right:
        return image
    high, wide = image.shape[2:]
    pad = max(abs(down), abs(right))
    padded = F.pad(image, (pad, pad, pad, pad), mode="replicate")
    return padded[:, :, pad - down : pad - down + high, pad - right : pad - right + wide]


def with_views(net: nn.Module, wanted: bool | list[str], augment: dict[str, Any] | None, side: int) -> Views | None:
    """The network with the views asked for; True: those that training showed it. None where there is none.

    augment: the training's transforms as configured. side: the image's shorter one in pixels.
    """
    moves = wanted if isinstance(wanted, list) else training_moves(augment) if wanted else []
    views = Views(net, "flip" in moves, max(1, round(side * SHARE_SHIFTED)) if "shift" in moves else 0)
    return views if len(views.views) > 1 else None


def training_moves(augment: dict[str, Any] | None) -> list[str]:
    """Whether training mirrored left and right, and whether it shifted; by its transforms' names."""
    nodes = [node for node in (augment or {}).values() if isinstance(node, dict)]
    flips = any(node["_target_"].endswith("Flip") and not node.get("vertical") for node in nodes)
    shifts = any(node["_target_"].endswith("Crop") for node in nodes)
    return [move for move, made in (("flip", flips), ("shift", shifts)) if made]


def _words(flip: bool, pixels: int) -> str:
    return " and ".join([*(["flip"] if flip else []), *([f"shifts of {pixels} px"] if pixels else [])])
