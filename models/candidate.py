"""What is judged: a network in its task, and the labelled images that it sees its own way."""

import importlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from datamodule.data import ImageData
from datamodule.inventory import Inventory
from datamodule.labelled import Labelled, labelled_images, split_of
from datamodule.preprocessing import Preprocessing
from models.inference import predict
from models.model_file import Manifest, load_model, load_weights, read_manifest, unfetched, weights_sha256
from models.predictor import device
from models.run import Run
from models.scores import Temperature
from models.task import ImageTask
from models.tester_settings import TesterSettings
from models.training import task_around
from utils.build import build
from utils.signature import signature_in_source

log = logging.getLogger(__name__)
Config = dict[str, Any]
AUTO = "auto"
DEVICES = {"gpu": "cuda"}  # Lightning's words for torch's


@dataclass(frozen=True)
class Candidate:
    """data: prepared, one test split. temperature: None where there is no validation split to fit one on."""

    name: str
    task: ImageTask
    data: ImageData
    temperature: Temperature = None

    @property
    def net(self) -> nn.Module:
        return self.task.net


def of_run(run: Run, config: Config, chosen: TesterSettings) -> Candidate:
    """A run's model, or another checkpoint of the run. Raises ValueError where they do not belong together."""
    if chosen.checkpoint == AUTO:
        net, manifest = load_model(run.folder)
        data = images(config, chosen, manifest.classes, run)
        task = task_around(net, config, data)
        _refuse_other_task(manifest, task, run)
        return Candidate(run.folder.name, task, data, manifest.temperature)
    known_as = read_manifest(run.folder) if run.finished else None
    data = images(config, chosen, known_as.classes if known_as else None, run)
    shape, known = data.preprocessing, {"num_classes": len(data.classes)}
    known |= {"channels": shape.channels, "height": shape.height, "width": shape.width}
    task = task_around(build(unfetched(config["models"]), **known), config, data)
    load_fitting(task.net, checkpoint_weights(chosen.checkpoint), chosen.checkpoint)
    same = known_as is not None and known_as.weights_sha256 == weights_sha256(task.net.state_dict())
    temperature = known_as.temperature if known_as is not None and same else fitted(task, data, config, chosen)
    return Candidate(f"{run.folder.name}, {Path(chosen.checkpoint).name}", task, data, temperature)


def fitted(task: ImageTask, data: Labelled, config: Config, chosen: TesterSettings) -> Temperature:
    """From the run's own validation split; None where it has none, or where the run's images need not be here.

    data: the run's own test split, unless `tester.data` names another set.
    """
    if chosen.data is not None:
        return None
    inventory, skipped, _ = split_of(data.source, "val")
    if not len(inventory):
        return None
    held_out = Labelled(data.source, inventory, skipped, data.preprocessing)
    held_out.prepare()
    found = predict(task, held_out, "test", device_of(config))
    return task.temperature(found.logits, found.target)


def device_of(config: Config) -> torch.device:
    """Where the run's accelerator is on this machine."""
    name = str(config["trainer"]["accelerator"])
    return device(DEVICES.get(name, name))


def _refuse_other_task(manifest: Manifest, task: ImageTask, run: Run) -> None:
    if manifest.task != task.name:
        raise ValueError(
            f"{run.manifest_file} is a model of task={manifest.task}, {run.configuration_file.name} beside it is of "
            f"task={task.name}: name the run that the model belongs to"
        )


def images(config: Config, chosen: TesterSettings, classes: list[str] | None, run: Run) -> Labelled:
    """The run's own test split, or tester.data, as the run's model sees images."""
    own = build(config["datamodule"] | {"augment": None}, seed=config["seed"])
    shape = stored_preprocessing(config["datamodule"])
    if chosen.data is None or classes is None:
        inventory, skipped, digest = split_of(own, "test")
        if not len(inventory):
            raise ValueError(
                f"the test split of {inventory.root} is empty: name labelled images with tester.data=DIR|CSV"
            )
        _refuse_other_classes(inventory, classes)
        _warn_of_change(digest, run)
        classes = list(inventory.classes)
    if chosen.data is not None:
        own = source_of(config["datamodule"], Path(chosen.data).expanduser(), config["seed"])
        inventory, skipped = labelled_images(own, classes, Path(chosen.data))
    data = Labelled(own, inventory, skipped, shape)
    data.prepare()
    return data


def stored_preprocessing(node: Config) -> Preprocessing:
    """What a run settled on: its configuration holds each value as a literal."""
    stored = {key: node[key] for key in ("height", "width", "channels", "interpolation", "crop")}
    stored["decode"] = node.get("decode", "exact")
    return Preprocessing(**stored, mean=tuple(node["mean"]), std=tuple(node["std"]))


def source_of(node: Config, place: Path, seed: int) -> ImageData:
    """A folder or a table of images, read by the run's own kind of source where that reads such a thing."""
    if not place.exists():
        raise ValueError(f"tester.data={place}: there is no such folder or file")
    key, target = ("root", "datamodule.folder.Folder") if place.is_dir() else ("file", "datamodule.csv_file.CsvFile")
    if wanted := _wanted_instead(node, place):
        raise ValueError(f"tester.data={place} cannot be what this model is tested on, {wanted}")
    module, _, name = node["_target_"].rpartition(".")
    shared = signature_in_source("datamodule.settings.DataSettings")
    assert shared is not None
    if getattr(importlib.import_module(module), name).place == key:
        kept = {name: value for name, value in node.items() if name != "root"}
        return build(kept | {key: str(place), "augment": None}, seed=seed)
    kept = {name: value for name, value in node.items() if name in shared.types}
    return build(kept | {"_target_": target, key: str(place), "augment": None}, seed=seed)


def _wanted_instead(node: Config, place: Path) -> str:
    """What a model's kind of targets needs in place of a table or of a folder of classes; "" where it fits."""
    masks = node["kind"] == "masks"
    if masks and not place.is_dir():
        return "which learned masks: name a folder of images and masks, laid out as its training's"
    one_class = node["kind"] == "classes" and not node.get("heads")
    if place.is_dir() and not (masks or one_class):
        return "which learned several labels or values: name a CSV with the columns of its training's"
    return ""


def _refuse_other_classes(inventory: Inventory, classes: list[str] | None) -> None:
    if classes is not None and list(inventory.classes) != classes:
        now = sorted(set(inventory.classes) ^ set(classes)) or "the same in another order"
        raise ValueError(
            f"the classes of {inventory.root} are not those that the model was trained on ({now}): "
            "name a test set with tester.data=DIR|CSV"
        )


def _warn_of_change(digest: str, run: Run) -> None:
    before = run.read().get("record", {}).get("data", {}).get("digest", digest)
    if before != digest:
        log.warning("the data changed since the training (digest %s then, %s now)", before[:12], digest[:12])


def checkpoint_weights(file: str) -> dict[str, Tensor]:
    """The network's tensors from a .ckpt of a run or a .safetensors file; nothing in it is executed."""
    if not Path(file).is_file():
        raise ValueError(f"tester.checkpoint={file}: there is no such file")
    try:
        return load_weights(Path(file))
    except ValueError as error:
        raise ValueError(f"tester.checkpoint={error}") from error


def load_fitting(net: nn.Module, weights: dict[str, Tensor], file: str) -> None:
    """All weights or none. Raises ValueError naming the class count, or the first tensor, that differs."""
    own = net.state_dict()
    shapes, found = ({name: tensor.shape for name, tensor in state.items()} for state in (own, weights))
    differing = sorted(name for name in own.keys() | weights.keys() if shapes.get(name) != found.get(name))
    if not differing:
        net.load_state_dict(weights)
        return
    both = [name for name in differing if name in own and name in weights]
    if len(both) == len(differing) and all(own[name].shape[1:] == weights[name].shape[1:] for name in both):
        raise ValueError(
            f"tester.checkpoint={file} was trained on {len(weights[both[0]])} classes, the model to be tested has "
            f"{len(own[both[0]])}: name the run that it belongs to"
        )
    raise ValueError(
        f"tester.checkpoint={file} is of another architecture: {len(differing)} tensors are missing or of another "
        f"shape, {differing[0]} first; name the run that it belongs to"
    )
