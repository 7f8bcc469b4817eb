"""models=auto: what is asked of the model search before a training; free of torch."""

from dataclasses import dataclass, replace
from typing import Any

from tuning.benchmark_settings import BenchmarkSettings
from tuning.finetune_settings import FinetuneSettings
from tuning.limits import Limits
from utils.build import settings

Config = dict[str, Any]
AUTO = "auto"


@dataclass(frozen=True)
class ModelSearch:
    """What configuration/models/auto.yaml sets, and the command line."""

    benchmark: BenchmarkSettings
    limits: Limits
    finetune: FinetuneSettings


def of_model_search(config: Config) -> ModelSearch | None:
    """Checked; None where the network is given. Raises ValueError for what it does not go with."""
    if config["models"].get("architecture") != AUTO:
        return None
    if "limits" not in config or "benchmark" not in config:
        raise ValueError(
            "models.architecture=auto: give models=auto, which searches under limits.*, or a name of timm's"
        )
    _refuse_pairs(config)
    benchmark = settings(BenchmarkSettings, config["benchmark"], "benchmark.")
    limits = settings(Limits, config["limits"], "limits.")
    finetune = settings(FinetuneSettings, config["finetune"], "finetune.")
    if finetune.overrides:
        raise ValueError("finetune.overrides: give them to train.py itself, its short trainings take them all")
    if finetune.candidates:
        finetune.check_objective(config)
    limits.check_objective(finetune.candidates > 0)
    return ModelSearch(_at_the_given_size(benchmark, config["datamodule"]), limits, finetune)


def _refuse_pairs(config: Config) -> None:
    """What would search, too, or needs the network before there is a run."""
    other = {
        "experiment=auto": config.get("auto"), "trainer.tune=true": config["trainer"]["tune"],
        "active": config.get("active"), "benchmark.ray=true": config["benchmark"].get("ray"),
    }  # fmt: skip
    for name, asked in other.items():
        if asked:
            raise ValueError(
                f"models=auto and {name} do not go together: choose with python benchmark.py limits.…, "
                "then give models=NAME"
            )


def _at_the_given_size(benchmark: BenchmarkSettings, data: Config) -> BenchmarkSettings:
    """Images of a given size are measured at it; else each network at its own."""
    height, width = data.get("height"), data.get("width")
    if height is None and width is None:
        return benchmark
    if width not in (None, height):
        raise ValueError(
            f"datamodule.height={height}, width={width}: models=auto measures square images, give one height"
        )
    return replace(benchmark, image_size=height)
