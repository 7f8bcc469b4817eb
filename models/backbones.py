"""Any timm architecture by name, with pretrained weights where they can be had and a stem that suits small images."""

import logging
from typing import Any, Literal

import timm
from timm.models import get_pretrained_cfg, split_model_name_tag
from timm.models.resnet import ResNet
from torch import Tensor, nn

from models.model_file import start_from
from models.pretrained import UNREACHED, weights_in, weights_location
from models.timm_names import refuse_unknown
from utils.signature import nearest

log = logging.getLogger(__name__)

SMALL_IMAGE = 64  # pixels; up to here a stem that keeps every fourth row and column leaves a resnet too little


class TimmBackbone(nn.Module):
    """A timm network under the names that all of this project's networks share.

    image (B, channels, height, width) → logits (B, num_classes). weights: where the pretrained ones came from, or None.
    """

    def __init__(self, net: nn.Module, weights: str | None = None) -> None:
        super().__init__()
        self.net: Any = net
        self.weights = weights

    def features(self, image: Tensor) -> Tensor:
        """(B, D), what the classifier gets."""
        found: Tensor = self.net.forward_head(self.net.forward_features(image), pre_logits=True)
        return found

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.net(image)
        return logits


def build_timm(
    architecture: str,
    num_classes: int,
    channels: int,
    height: int,
    width: int,
    pretrained: bool | str = "auto",
    stem: Literal["auto", "cifar", "imagenet"] = "auto",
    **arguments: Any,
) -> TimmBackbone:
    """A timm network (`timm.list_models()`) for images of this size.

    pretrained: true, false, a file of weights (.safetensors, or .pth read as data only), or auto: where to be had.
    stem: cifar is 3x3 without striding and pooling, for resnets alone; auto takes it up to 64 pixels. arguments: the
    architecture's own; None means its default.
    """
    _check_name(architecture)
    own = {key: value for key, value in arguments.items() if value is not None}
    shape = {"num_classes": num_classes, "in_chans": channels, **_image_size(architecture, height, width)}
    net, weights = _created(architecture, pretrained, shape | own)
    if stem == "cifar" or (stem == "auto" and max(height, width) <= SMALL_IMAGE and isinstance(net, ResNet)):
        _give_cifar_stem(net, architecture)
    if isinstance(pretrained, str) and pretrained != "auto":
        weights = _load_file(net, architecture, pretrained)
    return TimmBackbone(net, weights)


def _check_name(architecture: str) -> None:
    refuse_unknown("models.architecture", architecture)
    base, tag = split_model_name_tag(architecture)
    tags = [name.partition(".")[2] for name in timm.list_pretrained(f"{base}.*")] if tag else []
    if tag and tag not in tags:
        near = nearest(tag, tags)
        raise ValueError(f"models.architecture={architecture}: {base} has no weights tagged {tag}; {near}")


def _image_size(architecture: str, height: int, width: int) -> dict[str, Any]:
    """The argument that networks of one fixed image size (vision transformers) need."""
    described = get_pretrained_cfg(architecture)
    return {"img_size": (height, width)} if described is not None and described.fixed_input_size else {}


def _created(architecture: str, pretrained: bool | str, arguments: dict[str, Any]) -> tuple[nn.Module, str | None]:
    """The network and where its weights came from."""
    if pretrained is not True and pretrained != "auto":
        return _create(architecture, arguments), None
    try:
        overlay = weights_location(architecture)
        net = _create(architecture, arguments, pretrained=True, pretrained_cfg_overlay=overlay)
    except UNREACHED as error:
        if pretrained is True:
            raise ValueError(
                f"models.pretrained=true: no weights of {architecture}: {error}; "
                "give models.pretrained=auto, false or a file of weights"
            ) from error
        log.info("%s starts from random weights: %s", architecture, error)
        return _create(architecture, arguments), None
    source = f"{net.pretrained_cfg['architecture']}.{net.pretrained_cfg.get('tag', '')}"
    log.info("%s starts from timm's weights %s, its head new for %d classes", architecture, source, net.num_classes)
    return net, source


def _create(architecture: str, arguments: dict[str, Any], **loading: Any) -> Any:
    try:
        return timm.create_model(architecture, **arguments, **loading)
    except TypeError as error:
        raise ValueError(f"timm cannot build {architecture} with these arguments of models: {error}") from error


def _give_cifar_stem(net: Any, architecture: str) -> None:
    """Full resolution into the first stage: 3x3 convolutions of stride 1, no pooling (He et al. 2016, §4.2)."""
    if not isinstance(net, ResNet):
        raise ValueError(f"models.stem=cifar: {architecture} is no resnet; use models.stem=auto")
    first: Any = net.conv1
    if isinstance(first, nn.Conv2d):
        first = nn.Conv2d(first.in_channels, first.out_channels, 3, padding=1, bias=False)
        nn.init.kaiming_normal_(first.weight, mode="fan_out", nonlinearity="relu")
    else:
        first[0].stride = (1, 1)  # three 3x3 convolutions already
    net.add_module("conv1", first)
    net.add_module("maxpool", nn.Identity())


def _load_file(net: Any, architecture: str, file: str) -> str:
    """Loads a file's weights; only the head and the first convolution may differ in shape, and are then new."""
    fresh = start_from(net, weights_in(file))
    replaceable = (*_names(net, "classifier"), *_names(net, "first_conv"))
    if foreign := [name for name in fresh if name.rpartition(".")[0] not in replaceable]:
        raise ValueError(
            f"models.pretrained={file} does not hold {architecture}: {len(foreign)} tensors are missing or of another "
            f"shape, {foreign[0]} first; choose the architecture it was trained with"
        )
    log.info("%s starts from %s%s", architecture, file, f", but new: {', '.join(fresh)}" if fresh else "")
    return file


def _names(net: Any, part: str) -> tuple[str, ...]:
    found = net.pretrained_cfg.get(part) or ()
    return (found,) if isinstance(found, str) else tuple(found)
