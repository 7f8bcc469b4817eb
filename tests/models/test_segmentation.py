import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from datamodule.batches import Batch
from models.checks import LOSSES
from models.segmentation import Segmentation, pixel_confusion
from models.segmenters import build_segmenter
from utils.build import build
from utils.configuration import composed

SMALL = {"encoder": "test_resnet", "encoder_depth": 3, "decoder_channels": [8, 8, 8], "pretrained": False}


@pytest.mark.parametrize("name", LOSSES["masks"])
def test_every_loss_of_masks_leaves_out_the_pixels_that_do_not_count(name):
    loss = build(composed(["task=segmentation", f"task/loss={name}"])["task"]["loss"])
    task = Segmentation(["JaccardIndex"], 3, loss, net=nn.Identity(), optimizer=None, schedule=None, seed=0)
    logits, target = torch.randn(2, 3, 4, 4), torch.randint(3, (2, 4, 4))
    target[:, :2] = 255
    other = logits.clone()
    other[:, :, :2] += torch.randn(2, 3, 2, 4)
    assert torch.isclose(task.loss(logits, target), task.loss(other, target))


def test_counts_pixels_of_each_image_by_true_and_predicted_class():
    target = torch.tensor([[[0, 0, 1]], [[2, 255, 2]]])
    predicted = torch.tensor([[[0, 1, 1]], [[2, 0, 0]]])
    counts = pixel_confusion(predicted, target, 3)
    assert counts.tolist() == [[[1, 1, 0], [0, 1, 0], [0, 0, 0]], [[0, 0, 0], [0, 0, 0], [1, 0, 1]]]


@pytest.mark.parametrize("size", [(32, 32), (30, 41)])
def test_answers_for_every_pixel_of_images_of_any_size(size):
    net = build_segmenter("unet", num_classes=3, channels=1, height=size[0], width=size[1], **SMALL).eval()
    image = torch.randn(2, 1, *size)
    assert net(image).shape == (2, 3, *size) and net.features(image).ndim == 2


def test_a_name_that_no_library_has_is_refused():
    shape = {"num_classes": 2, "channels": 3, "height": 32, "width": 32}
    with pytest.raises(ValueError, match=r"models.architecture=yunet cannot be built"):
        build_segmenter("yunet", **shape, **SMALL)
    with pytest.raises(ValueError, match=r"models.encoder=resnet19: timm has none of that name; did you mean resnet18"):
        build_segmenter("unet", **shape, **{**SMALL, "encoder": "resnet19"})
    with pytest.raises(ValueError, match=r"lower models.encoder_depth"):
        build_segmenter("unet", **{**shape, "height": 4, "width": 4}, **SMALL)


class Largest(TorchDispatchMode):
    """How many numbers the largest tensor holds that is made meanwhile."""

    count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        self.count = max(self.count, made.numel() if isinstance(made, torch.Tensor) else 0)
        return made


def test_validation_counts_without_a_table_of_pixels_by_pairs_of_classes():
    """torchmetrics makes one, of 2,097,152 numbers here, where deterministic algorithms are asked for, as they are."""
    target = torch.randint(64, (2, 16, 16))
    logits = nn.functional.one_hot(target, 64).movedim(3, 1).float()
    task = Segmentation(["JaccardIndex"], 64, nn.CrossEntropyLoss(), net=nn.Identity(), optimizer=None, schedule=None,
                        seed=0)  # fmt: skip
    torch.use_deterministic_algorithms(True)
    try:
        with Largest() as largest:
            task.step(Batch(logits, target, torch.arange(2), -1, 0), 0, "val")
        assert torch.are_deterministic_algorithms_enabled()
    finally:
        torch.use_deterministic_algorithms(False)
    assert task.metrics.compute()["val/jaccard_index"] == 1
    assert largest.count == logits.numel()
