"""What can be tested on what: each kind of source, and what is refused by name."""

from pathlib import Path

import pytest
from PIL import Image

from models.candidate import source_of

CLASSES = {"_target_": "datamodule.digits.Digits", "kind": "classes"}
TABLE = {"_target_": "datamodule.csv_file.CsvFile", "file": "x.csv", "label_column": "kind", "path_column": "file"}
MASKS = {"_target_": "datamodule.masks.MaskFolders", "root": "x", "images": "pictures", "kind": "masks"}


@pytest.fixture
def place(tmp_path):
    """A folder of two classes, the same as a table, and images with masks."""
    lines = ["path,label,file,kind,digit,colour"]
    for name in "ab":
        (tmp_path / "folder" / name).mkdir(parents=True)
        Image.new("RGB", (8, 8), ord(name)).save(tmp_path / "folder" / name / "1.png")
        lines.append(f"{name}/1.png,{name},{name}/1.png,{name},{name},{name}")
    (tmp_path / "folder/list.csv").write_text("\n".join(lines))
    for folder in ("pictures", "masks"):
        (tmp_path / "shapes" / folder).mkdir(parents=True)
        Image.new("L", (8, 8)).save(tmp_path / "shapes" / folder / "1.png")
    return tmp_path


@pytest.mark.parametrize(
    ("node", "name", "labels"),
    [
        (CLASSES, "folder", ["a", "b"]),
        (CLASSES, "folder/list.csv", ["a", "b"]),
        ({"_target_": "datamodule.torchvision_set.TorchvisionSet", "kind": "classes"}, "folder", ["a", "b"]),
        ({"_target_": "datamodule.folder.Folder", "root": "x", "kind": "classes"}, "folder/list.csv", ["a", "b"]),
        (TABLE | {"kind": "classes"}, "folder", ["a", "b"]),
        (TABLE | {"kind": "classes"}, "folder/list.csv", ["a", "b"]),
        (TABLE | {"kind": "labels"}, "folder/list.csv", ["a", "b"]),
        (TABLE | {"kind": "classes", "heads": {"digit": 2, "colour": 2}}, "folder/list.csv",
         ["digit=a|colour=a", "digit=b|colour=b"]),
    ],
)  # fmt: skip
def test_a_model_is_tested_on_a_folder_or_a_table_whatever_it_was_trained_on(place, tmp_path, node, name, labels):
    source = source_of(node | {"cache_dir": str(tmp_path / "cache")}, place / name, 0)
    assert source.scan().label.tolist() == labels


def test_a_model_of_masks_is_tested_on_folders_laid_out_as_its_own(place, tmp_path):
    assert len(source_of(MASKS | {"cache_dir": str(tmp_path / "cache")}, place / "shapes", 0).scan()) == 1


@pytest.mark.parametrize(
    ("node", "name", "said"),
    [
        (MASKS, "folder/list.csv", "learned masks: name a folder of images and masks"),
        (TABLE | {"kind": "labels"}, "folder", "learned several labels or values: name a CSV"),
        (TABLE | {"kind": "values"}, "folder", "learned several labels or values: name a CSV"),
        (TABLE | {"kind": "classes", "heads": {"a": 2}}, "folder", "learned several labels or values: name a CSV"),
        (CLASSES, "nowhere", "there is no such folder or file"),
    ],
)
def test_a_place_that_cannot_show_what_the_model_learned_is_refused_by_name(place, node, name, said):
    with pytest.raises(ValueError, match=f"tester.data={place / name}.* {said}"):
        source_of(node, Path(place / name), 0)
