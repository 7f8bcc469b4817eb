"""The peer without this project: Lightning and torchvision's ImageFolder, written as their tutorials do.

Called by `benchmarks.training_speed`; alone: python -m benchmarks.plain_lightning DIR --output OUT --model resnet18
"""

import argparse
from typing import Any

import pytorch_lightning as pl
import timm
import torch
from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchmetrics import Accuracy
from torchvision.datasets import ImageFolder
from torchvision.transforms import (
    CenterCrop,
    Compose,
    Normalize,
    RandomCrop,
    RandomHorizontalFlip,
    RandomResizedCrop,
    Resize,
    ToTensor,
)

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)


class Plain(pl.LightningModule):
    """Cross-entropy, AdamW and a cosine over all steps; logs each step to the progress bar, as tutorials do."""

    def __init__(self, model: str, stem: str, lr: float, weight_decay: float) -> None:
        super().__init__()
        self.net = network(model, stem)
        self.lr, self.weight_decay = lr, weight_decay
        self.loss = nn.CrossEntropyLoss()
        self.train_accuracy = Accuracy("multiclass", num_classes=10)
        self.val_accuracy = Accuracy("multiclass", num_classes=10)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        image, target = batch
        logits = self.net(image)
        loss: Tensor = self.loss(logits, target)
        self.train_accuracy(logits, target)
        self.log("train_loss", loss, prog_bar=True)
        self.log("train_accuracy", self.train_accuracy, on_step=False, on_epoch=True, prog_bar=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        image, target = batch
        logits = self.net(image)
        self.val_accuracy(logits, target)
        self.log("val_loss", self.loss(logits, target), prog_bar=True)
        self.log("val_accuracy", self.val_accuracy, prog_bar=True)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        optimizer = torch.optim.AdamW(self.parameters(), lr=self.lr, weight_decay=self.weight_decay)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def network(model: str, stem: str) -> nn.Module:
    """timm's network; stem "cifar": a 3x3 convolution of stride 1 and no pooling in front (ResNets)."""
    net: Any = timm.create_model(model, num_classes=10)
    if stem == "cifar":
        net.conv1 = nn.Conv2d(3, net.conv1.out_channels, 3, padding=1, bias=False)
        net.maxpool = nn.Identity()
    made: nn.Module = net
    return made


def transforms(size: int) -> tuple[Compose, Compose]:
    """For training and for validation: 32 px is shifted by up to 4 px, larger sizes are cut at random."""
    end = [ToTensor(), Normalize(MEAN, STD)]
    if size == 32:
        return Compose([RandomCrop(32, padding=4, padding_mode="reflect"), RandomHorizontalFlip(), *end]), Compose(end)
    middle = [Resize(round(size / 0.875)), CenterCrop(size)]
    return Compose([RandomResizedCrop(size), RandomHorizontalFlip(), *end]), Compose([*middle, *end])


def loaders(root: str, size: int, batch: int, workers: int) -> tuple[DataLoader[object], DataLoader[object]]:
    train, val = transforms(size)
    shared: dict[str, Any] = {"batch_size": batch, "num_workers": workers, "persistent_workers": workers > 0}
    return (
        DataLoader(ImageFolder(f"{root}/train", train), shuffle=True, drop_last=True, **shared),
        DataLoader(ImageFolder(f"{root}/val", val), **shared),
    )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", help="a folder with train/<class>/ and val/<class>/")
    parser.add_argument("--output", required=True, help="metrics.csv and checkpoints go below it")
    parser.add_argument("--model", default="mobilenetv3_small_050")
    parser.add_argument("--stem", choices=("imagenet", "cifar"), default="imagenet")
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--weight-decay", type=float, default=0.01)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def main() -> None:
    asked = arguments()
    pl.seed_everything(asked.seed, workers=True)
    train, val = loaders(asked.root, asked.size, asked.batch, asked.workers)
    task = Plain(asked.model, asked.stem, asked.lr, asked.weight_decay)
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=asked.epochs,
        logger=CSVLogger(asked.output),
        log_every_n_steps=min(50, len(train)),
    )
    trainer.fit(task, train, val)


if __name__ == "__main__":
    main()
