"""What a run leaves for a store beside its model file: its measurement, a golden batch, and what drift is judged by."""

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor

from datamodule.data import ImageData
from datamodule.statistics import spread_out
from models.callbacks import Concluding
from models.task import ImageTask
from serving.delivery import EMBEDDINGS, GOLDEN, MASKS, PACKAGE
from serving.monitoring.embedding import embed
from serving.monitoring.scores import of_masks
from serving.version import code_version
from utils.files import write_whole

if TYPE_CHECKING:
    from models.outcome import Outcome

MOST_IMAGES, MOST_LOGITS = 32, 1 << 20  # of the golden batch
MOST_SEEN = 2_000  # images that drift is judged by
SPLIT = ("salt", "val_share", "test_share", "n_samples")


class Pack(Concluding):
    """Writes package.json and golden.safetensors into the run folder when its model lies there."""

    def concluded(self, outcome: "Outcome", task: ImageTask, data: ImageData) -> None:
        folder = outcome.run.folder
        split = "test" if "test" in outcome.evaluations else "val" if "val" in outcome.evaluations else None
        seen = split or "train"
        write_whole(folder / GOLDEN, save(reference(task, data, seen) | golden(task, data, seen)))
        package = {
            "measurement": None if split is None else measurement(outcome.evaluations[split], data, split),
            "split": {name: getattr(data, name) for name in SPLIT},
            "code_version": code_version(),
        }
        write_whole(folder / PACKAGE, json.dumps(package, indent=2))


def measurement(evaluation: Any, data: ImageData, split: str) -> dict[str, Any]:
    """Figures with the digest of the images and labels that they were measured on."""
    seen = data.inventory.take(data.inventory.rows(split))
    figures = {score.name: score.value if abs(score.value) < float("inf") else None for score in evaluation.scores}
    return {"set_digest": seen.digest, "split": split, "images": len(seen), "figures": figures}


@torch.inference_mode()
def reference(task: ImageTask, data: ImageData, split: str) -> dict[str, Tensor]:
    """What a server holds today's images, and masks, against: of many images, (images, values) each."""
    rows, device = spread_out(data.inventory.rows(split), MOST_SEEN), next(task.parameters()).device
    found: dict[str, list[Any]] = {EMBEDDINGS: [], MASKS: []}
    for stored in data.rows_dataloader(rows, "reference"):
        found[EMBEDDINGS] += [embed(image) for image in stored.image.numpy()]
        if task.name == "segmentation":
            batch = data.on_after_batch_transfer(data.transfer_batch_to_device(stored, device, 0))
            found[MASKS] += [*of_masks(task.eval()(batch.image).float().cpu().numpy())]
    return {name: torch.tensor(np.array(own), dtype=torch.float32) for name, own in found.items() if own}


@torch.inference_mode()
def golden(task: ImageTask, data: ImageData, split: str) -> dict[str, Tensor]:
    """A few images as stored, (N, H, W, C) uint8, and the network's logits of them."""
    rows = spread_out(data.inventory.rows(split), MOST_IMAGES)  # which lie in the order of their classes
    stored = next(iter(data.rows_dataloader(rows, "golden")))
    net = task.net.cpu().eval()
    logits = net(data.on_after_batch_transfer(stored).image).float()
    images = max(1, min(len(logits), MOST_LOGITS // max(1, logits[0].numel())))
    return {"pixels": stored.image[:images].contiguous(), "logits": logits[:images].contiguous()}
