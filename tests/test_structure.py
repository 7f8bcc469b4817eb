"""The lines that hold the project together: who imports whom, and that every yaml names something real."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from utils.build import check_own, check_third_party, targets
from utils.overrides import CONFIGURATION

ROOT = Path(__file__).parent.parent
LAYERS = ["utils", "datamodule", "models", "serving", "tuning", "active"]  # from the lowest up
ENTRY_POINTS = {"train.py", "test.py", "predict.py", "benchmark.py", "serving/__main__.py", "serving/worker.py"}
SOURCES = [file for layer in LAYERS for file in (ROOT / layer).rglob("*.py")]
GROUPS = sorted(folder.relative_to(CONFIGURATION).as_posix() for folder in CONFIGURATION.rglob("*") if folder.is_dir())
# of the groups that train.py has not
MAIN_FILES = {
    "engine": "test",
    "promotion": "serving",
    **dict.fromkeys(("benchmark", "limits", "finetune"), "benchmark"),
}
OPTIONS = [(group, file.stem) for group in GROUPS for file in sorted((CONFIGURATION / group).glob("*.yaml"))]


@cache
def imported(file: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(file.read_text())))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return names | {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_a_folder_imports_only_from_folders_below_it(file):
    if file.relative_to(ROOT).as_posix() in ENTRY_POINTS:  # which hand things in from above, and nobody imports
        return
    layer = file.relative_to(ROOT).parts[0]
    above = set(LAYERS[LAYERS.index(layer) + 1 :]) | {"train", "test", "predict", "benchmark"}
    assert not {name for name in imported(file) if name.partition(".")[0] in above}


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_only_entry_points_and_what_reads_the_command_line_know_hydra(file):
    name = file.relative_to(ROOT).as_posix()
    if name not in ENTRY_POINTS | {"utils/configuration.py", "utils/overrides.py"}:
        assert not {module for module in imported(file) if module.partition(".")[0] in ("hydra", "omegaconf")}


def test_every_package_file_is_empty():
    assert [file for layer in LAYERS for file in (ROOT / layer).rglob("__init__.py") if file.read_text()] == []


def composed(*overrides: str, main: str = "configs") -> dict:
    with initialize_config_dir(str(CONFIGURATION), version_base="1.3"):
        config = compose(main, overrides=list(overrides))
    for key in sorted(OmegaConf.missing_keys(config)):
        OmegaConf.update(config, key, "some-value")
    return OmegaConf.to_container(config, resolve=True)


@pytest.mark.parametrize(("group", "option"), OPTIONS, ids="/".join)
def test_every_yaml_names_targets_that_take_its_arguments(group, option):
    above = ["active=standalone"] if group.startswith("active/") else []
    config = composed(*above, f"{group}={option}", main=MAIN_FILES.get(group, "configs"))
    check_own(config)
    check_third_party(config)
    assert list(targets(config)) or MAIN_FILES.get(group) == "benchmark"  # whose groups are settings alone


def test_help_lists_groups_and_needs_no_torch():
    seen = subprocess.run(
        [sys.executable, "-X", "importtime", "train.py", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "optimizers: " in seen.stdout and "simple_cnn" in seen.stdout
    heavy = [
        line
        for line in seen.stderr.splitlines()
        if line.rpartition("|")[2].strip() in ("torch", "numpy", "PIL", "sklearn")
    ]
    assert heavy == []
