import pytest

from datamodule.layout import scan_folder


@pytest.fixture
def scan(image_folder, tmp_path):
    def run(*paths):
        root = image_folder({path: number for number, path in enumerate(paths)})
        inventory = scan_folder(root, tmp_path / "cache")
        found = zip(inventory.path, inventory.split, inventory.label, strict=True)
        return {path: (split, label) for path, split, label in found}, inventory

    return run


def test_folders_are_classes_with_all_that_lies_in_them(scan):
    found, inventory = scan("cat/1.png", "cat/deep/2.png", "dog/3.png")
    assert found == {"cat/1.png": ("", "cat"), "cat/deep/2.png": ("", "cat"), "dog/3.png": ("", "dog")}
    assert inventory.classes == ("cat", "dog")


def test_splits_are_given_by_folders_under_their_usual_names(scan):
    found, inventory = scan("train/cat/1.png", "valid/cat/2.png", "Test/dog/3.png", "unlabelled/4.png")
    assert found == {
        "train/cat/1.png": ("train", "cat"),
        "valid/cat/2.png": ("val", "cat"),
        "Test/dog/3.png": ("test", "dog"),
        "unlabelled/4.png": ("pool", ""),
    }
    assert inventory.classes == ("cat", "dog")


def test_one_other_folder_makes_them_all_classes_and_is_named(scan, caplog):
    found, _ = scan("train/1/1.png", "test/1/2.png", "bus/3.png")
    assert {label for _, label in found.values()} == {"train", "test", "bus"}
    assert "test and train are taken for classes, not for splits, with bus beside them" in caplog.text


def test_split_names_without_classes_below_are_classes_and_named(scan, caplog):
    found, _ = scan("train/1.png", "test/2.png")
    assert found == {"train/1.png": ("", "train"), "test/2.png": ("", "test")}
    assert "test and train are taken for classes, not for splits, with no folders of classes in them" in caplog.text


def test_a_class_that_is_called_as_a_split_is_nothing_to_tell(scan, caplog):
    found, _ = scan("train/1.png", "bus/2.png")
    assert found["train/1.png"] == ("", "train") and not caplog.text


def test_images_outside_of_class_folders_have_no_label(scan):
    found, _ = scan("cat/1.png", "2.png")
    assert found["2.png"] == ("", "")


def test_a_class_without_images_is_listed(scan, tmp_path):
    (tmp_path / "images" / "empty").mkdir(parents=True)
    (tmp_path / "images" / ".hidden").mkdir()
    assert scan("cat/1.png")[1].classes == ("cat", "empty")


def test_what_is_no_folder_is_named(tmp_path):
    with pytest.raises(ValueError, match="nowhere is no folder; give one with a folder of images for each class"):
        scan_folder(tmp_path / "nowhere", tmp_path)


def test_a_class_whose_name_is_not_utf8_is_refused_by_name(scan, tmp_path):
    (tmp_path / "images" / "caf\udce9").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"caf\\xe9: the name of this folder is not UTF-8; rename it"):
        scan("cat/1.png")
