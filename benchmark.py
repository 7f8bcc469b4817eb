"""Measures how fast timm's models are here, and chooses one: python benchmark.py [FLAGS] [KEY=VALUE ...]; --help."""

import sys

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from tuning.benchmark_settings import BenchmarkSettings, as_overrides
from tuning.finetune_settings import FinetuneSettings, own_images
from tuning.limits import Limits
from utils.build import settings
from utils.configuration import command, plain
from utils.loading import loading
from utils.log import to_terminal


@hydra.main(version_base="1.3", config_path="configuration", config_name="benchmark")
def main(cfg: DictConfig) -> None:
    """From the command line to a table, a page and, within limits, a model."""
    to_terminal()
    chosen = settings(BenchmarkSettings, plain(cfg.benchmark), "benchmark.")
    limits = settings(Limits, plain(cfg.limits), "limits.")
    rules = settings(FinetuneSettings, plain(cfg.finetune), "finetune.")
    own = own_images(HydraConfig.get().overrides.task, rules)
    with loading():
        from tuning.benchmark_command import benchmark

    benchmark(chosen, limits, own)


def with_overrides() -> None:
    """The flags of this command line as overrides."""
    try:
        sys.argv[1:] = as_overrides(sys.argv[1:])
    except ValueError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    with_overrides()
    command(main, interrupted="interrupted: the same command goes on from here")
