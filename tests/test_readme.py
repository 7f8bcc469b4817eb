"""Every command line of the README and of the docs is one that the programs take."""

import re
import shlex
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from utils.build import check_own
from utils.overrides import CONFIGURATION, prepared

ROOT = Path(__file__).parent.parent
MAIN = {"train.py": "configs", "test.py": "test", "predict.py": "predict"}
PROGRAMS = "|".join(MAIN)
TEXTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LINES = sorted(
    {
        line.split("  #")[0].strip("`$ ")
        for text in TEXTS
        for line in re.findall(
            rf"^(?:\$ )?python (?:{PROGRAMS}).*$|`python (?:{PROGRAMS})[^`]*`", text.read_text(), re.MULTILINE
        )
    }
)
NOT_HERE = {
    "python train.py trainer.max_epoch=3",
    "python train.py models=tiny models.width_factor=32",
}  # mistake; example


@pytest.mark.parametrize("line", [line for line in LINES if line not in NOT_HERE], ids=str)
def test_a_command_that_is_shown_is_taken(line):
    _, script, *arguments = shlex.split(line.replace("…", ""))
    overrides = [item for argument in arguments if "=" in argument for item in prepared(argument, "-m" in arguments)]
    if "-m" in arguments:  # a sweep's first point
        overrides = [re.sub(r",[^\]]*$", "", override) for override in overrides]
    with initialize_config_dir(str(CONFIGURATION), version_base="1.3"):
        config = compose(MAIN[script], overrides=overrides)
    for key in sorted(OmegaConf.missing_keys(config)):
        OmegaConf.update(config, key, "some-value")
    check_own(OmegaConf.to_container(config, resolve=True))


def test_the_readme_shows_each_program():
    assert {line.split()[1] for line in LINES} == set(MAIN)
