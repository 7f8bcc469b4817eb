import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from datamodule.inventory import COLUMNS, main, read_csv, split_named

PATHS = ["b.png", "a.png", "c.png"]


def test_rows_are_ordered_by_path_with_all_their_columns(made_up):
    inventory = made_up(PATHS, label=["B", "A", "C"], width=[2, 1, 3])
    assert inventory.path.tolist() == ["a.png", "b.png", "c.png"]
    assert inventory.label.tolist() == ["A", "B", "C"]
    assert inventory.width.tolist() == [1, 2, 3]


def test_digest_is_the_hash_of_sorted_hash_and_label_lines(made_up):
    inventory = made_up(PATHS, sha256=["02", "01", "03"], label=["B", "A", ""])
    assert inventory.digest == hashlib.sha256(b"01\tA\n02\tB\n03\t\n").hexdigest()


def test_digest_follows_contents_and_labels_but_not_places_or_splits(made_up):
    one = made_up(PATHS, sha256=["02", "01", "03"], label=["B", "A", "C"])
    moved = made_up(["x", "y", "z"], sha256=["03", "02", "01"], label=["C", "B", "A"], split="test")
    assert one.digest == moved.digest
    assert one.digest != made_up(PATHS, sha256=["02", "01", "03"], label=["B", "A", "A"]).digest
    assert one.digest != made_up(PATHS, sha256=["02", "01", "04"], label=["B", "A", "C"]).digest


def test_codes_number_the_classes_in_their_order_and_the_unlabelled_minus_one(made_up):
    inventory = made_up(["1", "2", "3"], label=["cat", "", "dog"], classes=["dog", "cat"])
    assert inventory.codes().tolist() == [1, -1, 0]


def test_takes_rows_by_number_and_by_mask(made_up):
    inventory = made_up(["1", "2", "3"], label=["a", "b", "c"], split=["train", "val", "train"])
    assert inventory.rows("train").tolist() == [0, 2]
    assert inventory.take(inventory.rows("train")).label.tolist() == ["a", "c"]
    assert inventory.take(np.array([False, True, False])).path.tolist() == ["2"]
    assert inventory.take(inventory.rows("val")).classes == ("a", "b", "c")


def test_csv_gives_back_what_was_written(made_up, tmp_path):
    paths = ['with "quotes", and comma.png', "grün/ü.png", "new\nline.png"]
    inventory = made_up(paths, label=["a", "", "a|b"], group=["g", "", ""], split=["train", "pool", "val"])
    inventory.write_csv(tmp_path / "inventory.csv")
    again = read_csv(tmp_path / "inventory.csv")
    for column in COLUMNS:
        assert getattr(again, column).tolist() == getattr(inventory, column).tolist()
    assert (again.root, again.digest, again.classes) == (tmp_path, inventory.digest, ("a", "a|b"))
    assert read_csv(tmp_path / "inventory.csv", Path("r"), ["a|b", "a"]).classes == ("a|b", "a")


def test_an_inventory_without_rows_survives_the_csv(made_up, tmp_path):
    made_up([]).write_csv(tmp_path / "inventory.csv")
    assert len(read_csv(tmp_path / "inventory.csv")) == 0


def test_another_table_is_refused_by_its_columns(tmp_path):
    (tmp_path / "other.csv").write_text("file,class\na.png,a\n")
    with pytest.raises(ValueError, match=r"no inventory: its columns are \['file', 'class'\]"):
        read_csv(tmp_path / "other.csv")


def test_knows_the_usual_names_of_splits():
    assert [split_named(name) for name in ("Training", "valid", "test", "unlabeled", "dogs", "")] == [
        "train",
        "val",
        "test",
        "pool",
        "",
        "",
    ]


def test_the_command_writes_hashes_and_splits(image_folder, tmp_path, capsys):
    root = image_folder({f"{name}/{number}.png": ord(name) + 7 * number for name in "ab" for number in range(12)})
    main([str(root), "--cache-dir", str(tmp_path / "cache")])
    inventory = read_csv(root / "inventory.csv")
    first = root / inventory.path[0]
    assert inventory.sha256[0] == hashlib.sha256(first.read_bytes()).hexdigest()
    assert set(inventory.split) == {"train", "val", "test"}
    assert "24 images of 2 classes" in capsys.readouterr().out


def test_the_command_ends_with_a_sentence_where_there_is_no_folder(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main([str(tmp_path / "nowhere"), "--cache-dir", str(tmp_path / "cache")])
    assert "nowhere is no folder" in capsys.readouterr().err


def test_the_command_needs_no_torch():
    code = "import sys, datamodule.inventory, datamodule.checks, datamodule.layout; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
