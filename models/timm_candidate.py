"""A network as timm trained it, or with a file of weights, judged on images that the user names."""

from pathlib import Path
from typing import Any

from timm.data.config import resolve_data_config
from timm.data.imagenet_info import ImageNetInfo, infer_imagenet_subset
from timm.models import get_pretrained_cfg
from torch import nn

from datamodule.labelled import Labelled, labelled_images
from datamodule.preprocessing import RESAMPLING, Preprocessing
from models.backbones import build_timm
from models.candidate import AUTO, Candidate, Config, load_fitting, source_of
from models.pretrained import weights_in
from models.tester_settings import TesterSettings
from models.training import task_around


def of_timm(config: Config, chosen: TesterSettings) -> Candidate:
    """A timm network with timm's weights, or a file of such, on tester.data."""
    if chosen.data is None:
        raise ValueError("run=null has no test split of its own: name labelled images with tester.data=DIR|CSV")
    architecture = config["models"].get("architecture") if chosen.architecture == AUTO else chosen.architecture
    if architecture is None:
        raise ValueError("run=null needs a timm architecture: add models=resnet18, or tester.architecture=resnet18")
    net, shape = pretrained(architecture, chosen.checkpoint)
    source = source_of(config["datamodule"], Path(chosen.data).expanduser(), config["seed"])
    names = class_names(net, list(source.scan().classes), Path(chosen.data))
    inventory, skipped = labelled_images(source, names, Path(chosen.data))
    data = Labelled(source, inventory, skipped, shape)
    data.prepare()
    return Candidate(architecture, task_around(net, config, data), data)


def pretrained(architecture: str, file: str) -> tuple[nn.Module, Preprocessing]:
    """The network as timm trained it, or with a file's weights, and the images it was trained on."""
    described = get_pretrained_cfg(architecture)
    wanted = resolve_data_config(pretrained_cfg=described.to_dict() if described else {}, use_test_size=True)
    channels, height, width = wanted["input_size"]
    interpolation: Any = wanted["interpolation"] if wanted["interpolation"] in RESAMPLING else "bicubic"
    shape = Preprocessing(height, width, channels, wanted["mean"], wanted["std"], interpolation, wanted["crop_pct"])
    weights = None if file == AUTO else weights_in(file)
    classes = described.num_classes if described else 1000
    if weights is not None and described is not None:
        classes = next((len(weights[name]) for name in (f"{described.classifier}.weight",) if name in weights), classes)
    net = build_timm(architecture, classes, channels, height, width, pretrained=weights is None, stem="imagenet")
    if weights is not None:
        load_fitting(net.net, weights, file)
    return net, shape


def class_names(net: Any, found: list[str], place: Path) -> list[str]:
    """What each output stands for, in the words of the images' labels: ImageNet's synsets or names, or their order."""
    subset = infer_imagenet_subset(net.net)
    count = net.net.num_classes
    info = ImageNetInfo(subset) if subset else None
    synsets = info.label_names() if info else []
    if synsets and set(found) <= set(synsets):
        return list(synsets)
    if len(found) == count:
        return found
    spoken = [info.index_to_description(place_).split(",")[0] for place_ in range(count)] if info else []
    if spoken and set(found) <= set(spoken):
        return spoken
    raise ValueError(
        f"tester.data={place} has {len(found)} classes, the network {count}: name its folders by ImageNet's synsets "
        "(n01440764) or first names (tench), or give one for each class of the network"
    )
