"""What several tests share: the project's own commands run as a user runs them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

ROOT = Path(__file__).parent.parent


@pytest.fixture
def hydra_parse():
    """Parses one override with Hydra's own grammar."""
    return OverridesParser.create().parse_override


@pytest.fixture
def command(tmp_path):
    """Runs `python SCRIPT ARGUMENTS` with logs and cache in the test's folder; answers the finished process."""

    def run(script: str, *arguments: str, logs: bool = True, timeout: float = 240, **environment: str):
        places = [f"logs={tmp_path / 'logs'}", f"datamodule.cache_dir={tmp_path / 'cache'}"] if logs else []
        return subprocess.run(
            [sys.executable, script, *arguments, *places],
            cwd=ROOT,
            env=os.environ | {"COLUMNS": "200", **environment},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return run
