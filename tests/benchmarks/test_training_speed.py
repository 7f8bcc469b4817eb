from argparse import Namespace
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.cifar import sample_folder
from benchmarks.measure import Measured, Usage
from benchmarks.training_speed import CASES, chosen_cases, tools_of, turned
from benchmarks.training_tables import OWN, accuracy_table, speed_row

MOBILENET = CASES[0]


def measured(wall_s: float, cpu_s: float, accuracy: float = 0.5) -> Measured:
    return Measured(Usage(10 * wall_s, 10 * cpu_s), [Usage(wall_s, cpu_s)] * 2, [0.1, accuracy])


def asked(**changes) -> Namespace:
    plain = {"cases": None, "images": None, "epochs": None, "accuracy": False, "timm": None, "tools": None}
    return Namespace(**{**plain, **changes})


def test_a_ratio_is_the_median_of_the_rounds():
    rounds = {
        OWN: [measured(1, 1), measured(1, 1), measured(1, 1)],
        "timm, 0 workers": [measured(1, 2), measured(1, 3), measured(1, 9)],
    }
    row = speed_row(MOBILENET, "timm, 0 workers", rounds)
    assert row[3] == "3.00"
    assert row[-1] == "≥ 2.5 by cpu: met"


def test_a_missed_bar_is_said():
    rounds = {OWN: [measured(1, 1)], "timm, 1 worker": [measured(1.9, 9)]}
    assert speed_row(MOBILENET, "timm, 1 worker", rounds)[-1] == "≥ 2.0 by wall: missed"


def test_accuracies_are_compared_in_standard_errors():
    rounds = {
        OWN: [measured(1, 1, value) for value in (0.50, 0.52, 0.54)],
        "lightning, 0 workers": [measured(1, 1, value) for value in (0.54, 0.56, 0.58)],
    }
    last = accuracy_table({"mobilenet": rounds}).splitlines()[-1]
    assert "+4.00 points" in last and "+2.4" in last


def test_every_bar_is_about_a_row_that_is_run():
    for case in CASES:
        assert set(case.bars) <= set(tools_of(case, asked(timm=Path())))


def test_without_a_checkout_only_timms_rows_are_missing():
    assert set(tools_of(MOBILENET, asked())) == {OWN, "lightning, 0 workers", "lightning, 1 worker"}


def test_sizes_of_the_command_line_win():
    (case,) = chosen_cases(asked(cases=["resnet18"], images=256, epochs=5))
    assert (case.name, case.images, case.epochs) == ("resnet18", 256, 5)


def test_each_round_begins_with_another_tool():
    assert [turned(["a", "b", "c"], seed)[0] for seed in range(4)] == ["a", "b", "c", "a"]


def test_a_sample_folder_holds_as_many_images_as_asked_spread_over_the_classes(tmp_path):
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            (tmp_path / "all" / split / name).mkdir(parents=True)
            for number in range(4):
                Image.new("RGB", (32, 32)).save(tmp_path / "all" / split / name / f"{number}.jpg")
    sample_folder(tmp_path / "all", tmp_path / "some", train=5, val=2, size=64)
    found = sorted(str(file.relative_to(tmp_path / "some").parent) for file in tmp_path.glob("some/*/*/*.jpg"))
    assert found == ["train/cat"] * 3 + ["train/dog"] * 2 + ["val/cat", "val/dog"]
    with Image.open(next(tmp_path.glob("some/*/*/*.jpg"))) as image:
        assert image.size == (64, 64)
    with pytest.raises(ValueError, match="change --images"):
        sample_folder(tmp_path / "all", tmp_path / "more", train=10, val=2)
