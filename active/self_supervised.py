"""Embeddings that are learnt on the pool itself, before there is any label."""

import logging
from typing import Any

import torch

from active.look import features_of
from active.view import Array
from datamodule.data import ImageData
from datamodule.inventory import Rows
from models.simclr import train_without_labels
from models.views import training_moves
from utils.build import build

log = logging.getLogger(__name__)


def learnt(data: ImageData, rows: Rows, config: dict[str, Any], epochs: int, seed: int) -> Array:
    """(N, F) features of the configured network after SimCLR on these rows."""
    torch.manual_seed(seed)
    shape = data.preprocessing
    net = build(
        config["models"], num_classes=len(data.classes), channels=shape.channels, height=shape.height, width=shape.width
    )
    flip = "flip" in training_moves(config["datamodule"]["augment"])
    log.info("learns features of %d images without labels, %d epochs", len(rows), epochs)
    train_without_labels(net, data, rows, epochs, seed, flip=flip)
    return features_of(net, data, rows)
