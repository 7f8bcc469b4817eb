"""A configuration is refused by key where no training could run it; free of torch, so that a server can ask, too."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from datamodule.settings import DataSettings
from models.settings import RunSettings, TrainerSettings
from models.tester_settings import TesterSettings
from models.timm_names import refuse_unknown
from utils import optimizer_names
from utils.build import MEASURED, check_own, settings
from utils.overrides import options

Config = dict[str, Any]

NAMES_OF_TIMM = {"models.backbones.build_timm": "architecture", "models.segmenters.build_segmenter": "encoder"}
OF_TIMM_OR_TORCH = "models.optimizers.build_optimizer"
CHOSEN_LATER = "auto"
LOSSES = {  # options of task/loss by the kind of targets that they learn
    "classes": {"cross_entropy": "torch.nn.CrossEntropyLoss", "focal": "models.losses.Focal"},
    "labels": {
        "bce": "torch.nn.BCEWithLogitsLoss",
        "asymmetric": "models.losses.Asymmetric",
        "binary_focal": "models.losses.BinaryFocal",
    },
    "values": {"mse": "torch.nn.MSELoss", "mae": "torch.nn.L1Loss", "huber": "torch.nn.HuberLoss"},
    "masks": {
        "dice_cross_entropy": "models.mask_losses.WeightedSum",
        "pixel_cross_entropy": "models.mask_losses.PixelCrossEntropy",
        "dice": "segmentation_models_pytorch.losses.DiceLoss",
        "jaccard": "models.mask_losses.JaccardLoss",
        "lovasz": "models.mask_losses.Lovasz",
        "focal": "models.losses.Focal",
    },
}


def check(config: Config) -> None:
    """Raises ValueError that names the key and the value."""
    run_settings(config)
    settings(TrainerSettings, config["trainer"], "trainer.")
    settings(TesterSettings, config.get("tester", {}), "tester.")
    check_own(config)
    _check_network(config["models"])
    _check_optimizer(config["optimizers"])
    _check_loss(config["task"])
    _check_data(config["datamodule"])


def run_settings(config: Config) -> RunSettings:
    """From the values that belong to no group."""
    return settings(RunSettings, _of(RunSettings, config))


def refuse_one_name(configs: Sequence[Config]) -> None:
    """Raises ValueError where several trainings of a sweep would lie in one run folder."""
    named = Counter((one.logs, one.experiment_name, one.run_name) for one in map(run_settings, configs) if one.run_name)
    for (_, _, name), count in named.items():
        if count > 1:
            raise ValueError(
                f"run_name={name} would be {count} trainings of this sweep: leave it out, or let it follow a value "
                "that is swept: 'run_name=s${seed}'"
            )


def _check_network(node: Config) -> None:
    """A network that timm does not have is refused before anything is read, and before it waits in a queue."""
    key = NAMES_OF_TIMM.get(node["_target_"])
    if key in node and node[key] != CHOSEN_LATER:
        refuse_unknown(f"models.{key}", node[key], options("models"))


def _check_optimizer(node: Config) -> None:
    """The same for one that neither timm nor torch has."""
    if node["_target_"] == OF_TIMM_OR_TORCH and "name" in node:
        optimizer_names.refuse_unknown("optimizers.name", node["name"])


def _check_loss(node: Config) -> None:
    """One of another kind of targets ends in an error of shapes, or learns nothing without one; others' are let be."""
    fitting, given = LOSSES.get(node.get("kind", ""), {}), (node.get("loss") or {}).get("_target_")
    known = {target for options in LOSSES.values() for target in options.values()}
    if fitting and given in known - set(fitting.values()):
        raise ValueError(f"task.loss={given} does not learn {node['kind']}: choose task/loss={' | '.join(fitting)}")


def _check_data(node: Config) -> None:
    """What every source shares, whose names and types are known to be right."""
    given = _of(DataSettings, node)
    DataSettings(**{k: v for k, v in given.items() if v != "auto" or f"datamodule.{k}" not in MEASURED})


def _of(kind: Any, values: Config) -> Config:
    """Those that a settings dataclass has."""
    names = {field.name for field in fields(kind)}
    return {key: value for key, value in values.items() if key in names}
