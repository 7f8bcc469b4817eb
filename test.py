"""Says how good a model is: python test.py [run=RUN] [tester.KEY=VALUE ...]; see --help."""

import sys
from functools import partial
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from models.run import Run
from models.runs import find
from models.tester_settings import TesterSettings
from utils.build import build, check_own, settings
from utils.configuration import command, overridden, plain
from utils.loading import loading
from utils.log import to_terminal

OF_THE_COMMAND = ("run", "logs")
WITHOUT_RUN = "run=null"


@hydra.main(version_base="1.3", config_path="configuration", config_name="test")
def main(cfg: DictConfig) -> None:
    """From the command line to a table of figures."""
    to_terminal()
    run, config = subject(cfg)
    engine = plain(cfg.engine)
    check_own({"engine": engine})
    tested(run, config, settings(TesterSettings, config["tester"], "tester."), engine)


def subject(cfg: DictConfig) -> tuple[Run | None, dict[str, Any]]:
    """The run and its own configuration with the values of this command line; without a run what was composed."""
    if cfg.run is None:
        return None, plain(cfg)
    run = find(run_named(cfg.run, cfg.tester.get("checkpoint", "auto")), cfg.logs)
    stored = {key: value for key, value in run.read().items() if key != "record"}
    stored["tester"] = plain(cfg.tester) | stored.get("tester", {})
    of_the_run = [line for line in HydraConfig.get().overrides.task if not of_the_engine(line)]
    config = overridden(stored, of_the_run, ignore=OF_THE_COMMAND)
    check_own(config)
    return run, config


def run_named(name: str, checkpoint: str) -> str:
    """A checkpoint in a run's folder names its run, too."""
    folder = Path(checkpoint).absolute().parent.parent
    return str(folder) if name == "latest" and (folder / "full_configurations.yaml").is_file() else name


def of_the_engine(override: str) -> bool:
    """The engine is this command's own: no run has one."""
    return override.lstrip("+").partition("=")[0].partition(".")[0] == "engine"


def tested(run: Run | None, config: dict[str, Any], chosen: TesterSettings, engine: dict[str, Any]) -> None:
    """Measures, writes, shows."""
    with loading():
        from models.testing import tell, test

    asked = chosen.trt_opt or any(of_the_engine(line) for line in HydraConfig.get().overrides.task)
    tell(test(run, config, chosen, partial(engines, engine) if asked else None))


def engines(node: dict[str, Any], *of_the_test: Any) -> Any:
    """The engines side by side; a single one is gated as the automatic choice gates its candidates."""
    from serving.engines.auto import Auto
    from serving.engines.comparison import compare_engines

    made = build(node)
    return compare_engines(made if isinstance(made, Auto) else Auto([made]), *of_the_test)


if __name__ == "__main__":
    command(main, of_a_run=WITHOUT_RUN not in sys.argv)
