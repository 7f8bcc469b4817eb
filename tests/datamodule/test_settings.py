from pathlib import Path

import pytest
import yaml

from datamodule.settings import DataSettings


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"batch_size": 0}, r"datamodule\.batch_size=0: give 1 or more"),
        ({"height": -3}, r"datamodule\.height=-3"),
        ({"workers": -1}, r"datamodule\.workers=-1: give 0 or more, or auto"),
        ({"power": 1.5}, r"datamodule\.power=1\.5 must lie between 0"),
    ],
)
def test_impossible_settings_are_refused_by_name(settings, said):
    with pytest.raises(ValueError, match=said):
        DataSettings(**settings)


def test_the_yaml_says_what_the_code_defaults_to():
    file = Path(__file__).parents[2] / "configuration/datamodule/default.yaml"
    written = yaml.safe_load(file.read_text())
    literal = {name: value for name, value in written.items() if name != "defaults" and "${" not in str(value)}
    assert literal.items() <= vars(DataSettings()).items()
    assert written.keys() - {"defaults"} == vars(DataSettings()).keys() - {"augment"}
