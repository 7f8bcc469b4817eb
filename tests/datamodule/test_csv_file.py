import os

import pytest

from datamodule.csv_file import CsvFile
from datamodule.inventory import main, read_csv
from datamodule.layout import scan_folder


@pytest.fixture
def listed(image_folder, tmp_path):
    """Writes images and a CSV of these lines, and gives its source."""

    def make(*lines, **options):
        root = image_folder({f"{number}.png": number for number in range(6)})
        (root / "list.csv").write_text("\n".join(lines) + "\n", encoding=options.pop("encoding", "utf-8"))
        return CsvFile(str(root / "list.csv"), cache_dir=str(tmp_path / "cache"), **options)

    return make


def test_takes_paths_and_labels_in_any_order(listed):
    inventory = listed("label,path", "dog,2.png", " cat ,0.png", ",5.png").scan()
    assert inventory.path.tolist() == ["0.png", "2.png", "5.png"]
    assert inventory.label.tolist() == ["cat", "dog", ""]
    assert inventory.classes == ("cat", "dog")


def test_splits_and_groups_count_where_there_are_such_columns(listed):
    inventory = listed("path,label,split,group", "0.png,a,training,p1", "1.png,b,Test,", "2.png,a,,p2").scan()
    assert inventory.split.tolist() == ["train", "test", ""]
    assert inventory.group.tolist() == ["p1", "", "p2"]


def test_columns_and_delimiter_can_be_named(listed):
    source = listed("file;kind", "0.png;a", path_column="file", label_column="kind", delimiter=";")
    assert source.scan().label.tolist() == ["a"]


def test_a_tab_can_be_spelt_as_on_a_command_line(listed):
    source = listed("path\tlabel", "0.png\ta", delimiter="\\t")
    assert source.scan().label.tolist() == ["a"]


@pytest.mark.parametrize("options", [{"delimiter": ";;"}, {"delimiter": '"'}, {"delimiter": ""}, {"separator": ""}])
def test_what_cannot_stand_between_two_cells_is_refused_by_key(listed, options):
    with pytest.raises(ValueError, match=rf"datamodule\.{next(iter(options))}\b.* give "):
        listed("path,label", "0.png,a", **options)


def test_a_table_in_another_encoding_is_named_with_what_helps(listed):
    with pytest.raises(ValueError, match=r"datamodule\.file=.*list\.csv, after line .* save it as CSV in UTF-8"):
        listed("path,label", "0.png,grün", encoding="latin-1").scan()


@pytest.mark.parametrize(
    ("cells", "warned"), [(("1.5", "2", ""), True), (("1", "2.0", ""), False), (("1.5", "a"), False)]
)
def test_classes_that_look_like_values_are_told(listed, caplog, cells, warned):
    listed("path,label", *[f"{place}.png,{cell}" for place, cell in enumerate(cells)]).scan()
    assert (
        "2 classes that are numbers with decimals; if they are values, give task=regression" in caplog.text
    ) == warned


def test_a_table_without_lines_is_refused(listed):
    with pytest.raises(ValueError, match=r"datamodule\.file=.* has a header and nothing below it; give a line"):
        listed("path,label").scan()
    with pytest.raises(ValueError, match=r"datamodule\.file=.* is empty; give a CSV"):
        listed("").scan()


def test_without_a_label_column_all_is_the_pool(listed):
    assert listed("path", "0.png", label_column=None).scan().label.tolist() == [""]


def test_a_byte_order_mark_is_no_part_of_a_name(listed):
    assert listed("path,label", "0.png,a", encoding="utf-8-sig").scan().label.tolist() == ["a"]


def test_paths_start_from_root_or_are_absolute(listed, tmp_path, image_folder):
    other = image_folder({"sub/9.png": 9}, tmp_path / "other")
    source = listed("path,label", f"{other}/sub/9.png,a", "sub/9.png,b", root=str(other))
    inventory = source.scan()
    read = source.reader(inventory)
    assert (read(0) == read(1)).all()


def test_a_missing_column_is_named_with_those_there_are(listed):
    with pytest.raises(ValueError, match=r"no column 'label' but \['path', 'kind'\]; set datamodule.label_column"):
        listed("path,kind", "0.png,a").scan()


@pytest.mark.parametrize(("sign", "told"), [(";", "';'"), ("\t", r"'\\t'")])
def test_where_another_sign_stands_between_the_cells_that_is_told(listed, sign, told):
    with pytest.raises(ValueError, match=f"has no column 'path' but .*; set datamodule.delimiter={told}"):
        listed(f"path{sign}label", f"0.png{sign}a").scan()


def test_an_unknown_split_is_named(listed):
    with pytest.raises(ValueError, match="names a split 'holdout'; use train, val, test or pool"):
        listed("path,label,split", "0.png,a,holdout").scan()


def test_a_missing_list_or_image_is_named(listed, tmp_path):
    with pytest.raises(ValueError, match=r"nothing.csv is no file"):
        CsvFile(str(tmp_path / "nothing.csv")).scan()
    with pytest.raises(ValueError, match=r"1 of 2 listed files are not below .*: 77.png"):
        listed("path,label", "0.png,a", "77.png,b").scan()


def test_a_missing_image_is_left_out_where_asked_and_named(listed, caplog):
    source = listed("path,label", "0.png,a", "77.png,b", "1.png,b", on_bad_image="skip")
    assert source.scan().path.tolist() == ["0.png", "1.png"]
    assert "left out 1 of 3 listed files, which are not below" in caplog.text and "77.png" in caplog.text


def test_a_list_of_some_images_does_not_make_the_folder_forget_the_others(listed, tmp_path, monkeypatch):
    source = listed("path,label", "0.png,a")
    for file in source.root.glob("*.png"):
        os.utime(file, (1_600_000_000, 1_600_000_000))
    before = scan_folder(source.root, tmp_path / "cache")
    source.scan()
    monkeypatch.setattr("datamodule.fingerprints._read", None)
    assert scan_folder(source.root, tmp_path / "cache").digest == before.digest


def test_an_inventorys_csv_gives_the_same_splits_and_digest(image_folder, tmp_path):
    root = image_folder({f"{name}/{number}.png": ord(name) + 7 * number for name in "ab" for number in range(12)})
    main([str(root), "--cache-dir", str(tmp_path / "cache")])
    data = CsvFile(str(root / "inventory.csv"), cache_dir=str(tmp_path / "other cache"), salt="another")
    data.prepare()
    written = read_csv(root / "inventory.csv")
    assert data.digest == written.digest
    assert data.inventory.split.tolist() == written.split.tolist()
