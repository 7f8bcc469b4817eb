"""segmentation-models-pytorch's networks on timm's encoders: image (B, C, H, W) → logits (B, classes, H, W)."""

import logging
from typing import Any

import segmentation_models_pytorch as smp
import torch.nn.functional as F
from torch import Tensor, nn

from models.pretrained import UNREACHED, weights_location
from models.timm_names import refuse_unknown

log = logging.getLogger(__name__)


class Segmenter(nn.Module):
    """A network for images of any size: they are padded to what its strides divide, its answer is cut to their size."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net: Any = net

    def features(self, image: Tensor) -> Tensor:
        """(B, D), the encoder's last maps averaged."""
        maps: Tensor = self.net.encoder(self._padded(image))[-1]
        return maps.mean((2, 3))

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.net(self._padded(image))
        return logits[:, :, : image.shape[2], : image.shape[3]]

    def _padded(self, image: Tensor) -> Tensor:
        stride = self.net.encoder.output_stride
        right, bottom = -image.shape[3] % stride, -image.shape[2] % stride
        return F.pad(image, (0, right, 0, bottom), mode="replicate") if right or bottom else image


def build_segmenter(
    architecture: str,
    encoder: str,
    num_classes: int,
    channels: int,
    height: int,
    width: int,
    pretrained: bool | str = "auto",
    **arguments: Any,
) -> Segmenter:
    """A network for images of this size, by its name in segmentation-models-pytorch, its encoder by timm's.

    pretrained: timm's weights for the encoder; auto: where they can be had. arguments: the architecture's own; None
    means its default.
    """
    refuse_unknown("models.encoder", encoder)
    weights = "imagenet" if _are_weights_there(encoder, pretrained) else None
    own = {key: value for key, value in arguments.items() if value is not None}
    try:
        net = smp.create_model(architecture, f"tu-{encoder}", weights, channels, num_classes, **own)
    except (TypeError, KeyError) as error:
        raise ValueError(f"models.architecture={architecture} cannot be built as models says: {error}") from error
    if (stride := net.encoder.output_stride) > max(height, width):
        raise ValueError(
            f"{encoder} sees one place in {stride} x {stride} pixels, too few of an image of {height} x {width}: lower "
            "models.encoder_depth or enlarge datamodule.height and datamodule.width"
        )
    return Segmenter(net)


def _are_weights_there(encoder: str, pretrained: bool | str) -> bool:
    if pretrained is False:
        return False
    try:
        weights_location(encoder)
    except UNREACHED as error:
        if pretrained is True:
            raise ValueError(f"models.pretrained=true: no weights of {encoder}: {error}; give auto or false") from error
        log.info("%s starts from random weights: %s", encoder, error)
        return False
    return True
