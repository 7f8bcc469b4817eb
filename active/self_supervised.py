"""Embeddings that are learnt on the pool itself, before there is any label."""

import logging
from typing import Any

from active.look import features_of
from active.view import Array
from datamodule.data import ImageData
from datamodule.inventory import Rows
from models.simclr import fastest, train_without_labels
from models.speed import Speed
from models.training import make_net
from models.views import training_moves

log = logging.getLogger(__name__)


def learnt(data: ImageData, rows: Rows, config: dict[str, Any], epochs: int, seed: int, speed: Speed) -> Array:
    """(N, F) features of the configured network after SimCLR on these rows."""
    net = make_net(config, data)
    flip = "flip" in training_moves(config["datamodule"]["augment"])
    log.info("learns features of %d images without labels, %d epochs", len(rows), epochs)
    train_without_labels(net, data, rows, epochs, seed, flip=flip, speed=speed)
    return features_of(net, data, rows)


def chosen_speed(data: ImageData, rows: Rows, config: dict[str, Any], epochs: int) -> Speed:
    """`trainer.speed`, measured where it is auto."""
    asked = config["trainer"]["speed"]
    return fastest(make_net(config, data), data, rows, epochs) if asked == "auto" else Speed(asked)
