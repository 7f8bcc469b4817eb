import pytest
import torch

from models.segmentation import pixel_confusion
from models.segmenters import build_segmenter

SMALL = {"encoder": "test_resnet", "encoder_depth": 3, "decoder_channels": [8, 8, 8], "pretrained": False}


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
