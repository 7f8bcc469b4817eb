"""Measures how fast timm's models are here, and chooses one: python benchmark.py [FLAGS] [KEY=VALUE ...]; --help."""

import sys

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from tuning.benchmark_settings import BenchmarkSettings, as_overrides
from tuning.finetune_settings import FinetuneSettings, OwnImages, own_images
from tuning.limits import Limits
from utils.build import command, plain, settings
from utils.log import to_terminal


@hydra.main(version_base="1.3", config_path="configuration", config_name="benchmark")
def main(cfg: DictConfig) -> None:
    """From the command line to a table, a page and, within limits, a model."""
    to_terminal()
    benchmarked(
        settings(BenchmarkSettings, plain(cfg.benchmark), "benchmark."),
        settings(Limits, plain(cfg.limits), "limits."),
        own_images(HydraConfig.get().overrides.task, settings(FinetuneSettings, plain(cfg.finetune), "finetune.")),
    )


def benchmarked(chosen: BenchmarkSettings, limits: Limits, own: OwnImages | None) -> None:
    """An interruption ends the process with the usual status; every row that was measured is in the table."""
    from tuning.benchmark_command import benchmark

    try:
        benchmark(chosen, limits, own)
    except (KeyboardInterrupt, SystemExit):
        print("interrupted: the same command goes on from here")
        sys.exit(130)


def with_overrides() -> None:
    """The flags of this command line as overrides."""
    try:
        sys.argv[1:] = as_overrides(sys.argv[1:])
    except ValueError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    with_overrides()
    command(main)
