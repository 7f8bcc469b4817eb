"""The pretrained part of a network stays as it is for the first epochs, while its new head finds its place."""

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from torch import nn

HEADS = ("head", "heads", "fc", "classifier", "decoder", "segmentation_head")


class FreezeBackbone(Callback):
    """Neither weights nor BatchNorm's averages of the backbone change in the first `epochs` epochs.

    heads: names of the modules that do train, wherever they are in the network; by default the usual ones, and what
    timm says its classifier is. It keeps no state: what is frozen follows from the epoch.
    """

    def __init__(self, epochs: int = 1, heads: list[str] | None = None) -> None:
        if epochs < 1:
            raise ValueError(f"callback.freeze.epochs={epochs}: use 1 or more, or leave the callback out")
        self.epochs, self.heads = epochs, heads
        self._frozen: list[nn.Module] = []

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._frozen = backbone(pl_module.net, set(self.heads or HEADS))  # type: ignore[arg-type]

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        for module in self._frozen if self._is_frozen(trainer) else ():
            module.training = False

    def on_before_optimizer_step(self, trainer: pl.Trainer, *_: Any) -> None:
        """An optimizer leaves weights without gradient alone; unlike requires_grad this suits DDP and compilation."""
        for module in self._frozen if self._is_frozen(trainer) else ():
            for parameter in module.parameters(recurse=False):
                parameter.grad = None

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        for module in self._frozen:
            module.training = True

    def _is_frozen(self, trainer: pl.Trainer) -> bool:
        return trainer.current_epoch < self.epochs


def backbone(net: nn.Module, heads: set[str]) -> list[nn.Module]:
    """All modules that neither are a head nor lie within one. Raises ValueError where that is none, or all."""
    heads = heads | {name for module in net.modules() for name in _classifier(module)}
    within = {name for name, _ in net.named_modules() if heads & set(name.split("."))}
    kept = [module for name, module in net.named_modules() if name not in within]
    if not within or not any(True for module in kept for _ in module.parameters(recurse=False)):
        raise ValueError(
            f"callback=freeze: {type(net).__name__} has {'nothing but a' if within else 'no'} head named "
            f"{', '.join(sorted(heads))}; name it in callback.freeze.heads"
        )
    return kept


def _classifier(module: nn.Module) -> tuple[str, ...]:
    """timm's name for it, its last part."""
    described = getattr(module, "pretrained_cfg", None) or {}
    found = described.get("classifier") or ()
    return tuple(name.rpartition(".")[2] for name in ((found,) if isinstance(found, str) else found))
