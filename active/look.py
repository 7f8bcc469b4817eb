"""What a network answers to images: logits, features, and draws of dropout."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from active.view import Array
from datamodule.data import ImageData
from datamodule.inventory import Rows
from models.draws import draws_aside, seed_draws
from models.inference import ready
from models.task import step_seed

DROPOUT = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)


def logits_of(net: nn.Module, data: ImageData, rows: Rows) -> Array:
    """(n, classes) float32, in evaluation mode."""
    return _over(net.eval(), net, data, rows)


def features_of(net: nn.Module, data: ImageData, rows: Rows) -> Array:
    """(n, F) float32, what the last layer gets. Raises ValueError for a network that does not tell them."""
    if not hasattr(net, "features"):
        raise ValueError(
            f"{type(net).__name__} has no features(image): give it one, or choose active.embeddings=pixels and another "
            "active/strategy than badge"
        )
    features: Callable[[Tensor], Tensor] = net.eval().features  # type: ignore[assignment]
    return _over(net, features, data, rows)


def draws_of(net: nn.Module, data: ImageData, rows: Rows, count: int, seed: int) -> Array:
    """(count, n, classes) logits with dropout at work; each draw's random numbers come from the seed alone."""
    active = [module for module in net.eval().modules() if isinstance(module, DROPOUT) and module.p > 0]
    if not active:
        raise ValueError(
            f"{type(net).__name__} has no dropout to draw from: add it (models.dropout=0.2, +models.drop_rate=0.2 with "
            "timm) or choose another active/strategy than bald"
        )
    for module in active:
        module.train()
    return np.stack([_over(net, net, data, rows, step_seed(seed, number, 0, 0)) for number in range(count)])


@torch.inference_mode()
def _over(net: nn.Module, answer: Callable[[Tensor], Tensor], data: ImageData, rows: Rows, seed: int = 0) -> Array:
    device = next(net.parameters()).device
    loader = data.rows_dataloader(rows, "looked at")
    with draws_aside(device):
        seed_draws(seed, device)
        found = [answer(batch.image).float().flatten(1).cpu() for batch in ready(data, loader, device)]
    return torch.cat(found).numpy()
