import logging

import pytest

from datamodule.checks import check_classes, leave_out, settle
from datamodule.decode import BadImage
from datamodule.inventory import read_csv

LETTERS = [f"{name}{number:02d}" for name in "ab" for number in range(30)]


@pytest.fixture
def settled(made_up, tmp_path):
    """Settles a made-up inventory of two classes of 30 images, or of what is given."""

    def run(paths=LETTERS, columns=None, classes=None, **settings):
        given = {"label": [path[0] for path in paths], **(columns or {})}
        return settle(made_up(paths, classes, **given), cache_dir=tmp_path / "cache", **settings)

    return run


def test_every_image_gets_a_split(settled):
    inventory, skipped = settled()
    assert set(inventory.split) == {"train", "val", "test"}
    assert (len(inventory), skipped) == (60, [])


def test_the_settled_inventory_is_kept_by_its_digest(settled, tmp_path):
    inventory, _ = settled()
    other, _ = settled(salt="pepper")
    kept = sorted((tmp_path / "cache" / "inventories").glob(f"{inventory.digest}-*.csv"))
    assert len(kept) == 2
    assert {tuple(read_csv(file).split) for file in kept} == {tuple(inventory.split), tuple(other.split)}


def test_a_small_classs_split_survives_its_growth(settled):
    first, _ = settled(["a1", "a2", "a3", *(f"b{number}" for number in range(9))])
    grown, _ = settled(["a1", "a2", "a3", *(f"a{number}" for number in range(10, 90)), "b1", "b2", "b3"])
    before, after = (dict(zip(found.path, found.split, strict=True)) for found in (first, grown))
    assert [before[name] for name in ("a1", "a2", "a3")] == [after[name] for name in ("a1", "a2", "a3")]


def test_no_image_is_an_error(settled):
    with pytest.raises(ValueError, match="no image in made up; give one folder of images for each class"):
        settled([])


def test_one_class_is_an_error(settled):
    with pytest.raises(ValueError, match=r"made up holds the classes \['a'\]; give at least two"):
        settled(["a1", "a2", "a3"])


def test_an_empty_class_is_an_error_with_its_name(settled):
    with pytest.raises(ValueError, match=r"no image of class c in made up; .*class_names"):
        settled(classes=["a", "b", "c"])


def test_class_names_fix_the_order_and_allow_a_class_without_images(settled):
    inventory, _ = settled(class_names=["b", "c", "a"])
    assert inventory.classes == ("b", "c", "a")
    assert inventory.codes()[0] == 2


def test_class_names_that_lack_a_label_are_an_error(settled):
    with pytest.raises(ValueError, match=r"b00 is labelled 'b', which datamodule.class_names=\['a'\] lacks"):
        settled(class_names=["a"])


def test_class_names_given_twice_are_an_error(settled):
    with pytest.raises(ValueError, match="names a class twice"):
        settled(class_names=["a", "b", "a"])


def test_a_class_only_in_test_is_an_error(settled):
    split = ["test" if path[0] == "b" else "train" for path in LETTERS]
    with pytest.raises(ValueError, match="class 'b' has no training images but 30 in test; move some"):
        settled(columns={"split": split})


def test_a_class_only_in_test_may_be_learned_from_the_pool(settled):
    columns = {"split": ["test" if path[0] == "b" else "train" for path in LETTERS]}
    columns["split"][-1] = "pool"
    assert settled(columns=columns)[0].split[-1] == "pool"


def test_an_empty_part_is_named(settled, caplog):
    with caplog.at_level(logging.WARNING):
        settled(val_share=0.0)
    assert "the val split of made up is empty" in caplog.text


def test_unreadable_images_are_all_named(settled):
    width = [0 if path in ("a03", "b07") else 8 for path in LETTERS]
    with pytest.raises(BadImage, match=r"2 of 60 images .*a03 cannot be read.* b07 .*on_bad_image=skip"):
        settled(columns={"width": width})


def test_unreadable_images_are_left_out_where_asked(settled, caplog):
    width = [0 if path == "a03" else 8 for path in LETTERS]
    inventory, skipped = settled(columns={"width": width}, on_bad_image="skip")
    assert "a03" not in inventory.path
    assert skipped == [("a03", "cannot be read as an image (empty, broken or of another kind)")]
    assert "left out 1 of 60" in caplog.text


def test_where_all_images_are_unreadable_none_is_left(settled):
    with pytest.raises(ValueError, match="no image in"):
        settled(columns={"width": 0}, on_bad_image="skip")


def test_equal_images_with_different_labels_are_named_with_both(settled):
    sha256 = ["same" if path in ("a03", "b07") else path for path in LETTERS]
    with pytest.raises(BadImage, match="a03 is labelled 'a' and 'b' in equal files, b07"):
        settled(columns={"sha256": sha256})
    inventory, skipped = settled(columns={"sha256": sha256}, on_bad_image="skip")
    assert [file for file, _ in skipped] == ["a03", "b07"]
    assert len(inventory) == 58


def test_an_unlabelled_copy_contradicts_nobody_but_leaves_the_pool(settled):
    sha256 = ["same" if path in ("a03", "b07") else path for path in LETTERS]
    label = ["" if path == "b07" else path[0] for path in LETTERS]
    inventory, skipped = settled(columns={"sha256": sha256, "label": label})
    assert [file for file, _ in skipped] == ["b07"]
    assert "a03" in inventory.path


def test_copies_of_test_images_leave_training(settled):
    columns = {"split": [("train", "val", "test")[number % 3] for number in range(60)], "sha256": LETTERS.copy()}
    columns["sha256"][0] = columns["sha256"][1] = columns["sha256"][2]
    inventory, skipped = settled(columns=columns)
    assert skipped == [("a00", "is a02 of the test split"), ("a01", "is a02 of the test split")]
    assert "a02" in inventory.path


def test_copies_within_a_split_stay(settled):
    columns = {"sha256": LETTERS.copy()}
    columns["sha256"][1] = columns["sha256"][0]
    inventory, _ = settled(columns=columns)
    assert len(inventory) == 60
    assert inventory.split[0] == inventory.split[1]


@pytest.mark.parametrize("n_samples", [30, 0.5])
def test_thins_to_a_count_or_a_share_whose_splits_stay(settled, n_samples):
    everything, _ = settled()
    half, _ = settled(n_samples=n_samples)
    whole = dict(zip(everything.path, everything.split, strict=True))
    assert len(half) == 30
    assert all(whole[path] == split for path, split in zip(half.path, half.split, strict=True))


@pytest.mark.parametrize("n_samples", [0, -1, 1.5])
def test_refuses_a_senseless_count(settled, n_samples):
    with pytest.raises(ValueError, match=f"n_samples={n_samples} is neither"):
        settled(n_samples=n_samples)


def test_refuses_shares_that_leave_no_training(settled):
    with pytest.raises(ValueError, match=r"val_share 0.5 and test_share 0.5 leave nothing"):
        settled(val_share=0.5, test_share=0.5)


def test_a_cache_folder_that_cannot_be_written_is_named(settled, tmp_path):
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(OSError, match=r"cannot write the image cache .* set datamodule.cache_dir"):
        settled()


def test_what_is_left_out_later_is_checked_again(made_up):
    inventory = made_up(["a", "b"], label=["a", "b"], split=["train", "train"])
    left, skipped = leave_out(inventory, {1: "is truncated"}, "skip")
    assert (left.path.tolist(), skipped) == (["a"], [("b", "is truncated")])
    check_classes(inventory)


def test_nothing_bad_changes_nothing(made_up):
    inventory = made_up(["a", "b"])
    assert leave_out(inventory, {}, "raise") == (inventory, [])


def test_the_reason_names_five_files_and_counts_the_others(made_up):
    inventory = made_up([f"{number}" for number in range(9)])
    with pytest.raises(BadImage, match=r"8 of 9 images.* 4 is bad and 3 more; repair"):
        leave_out(inventory, dict.fromkeys(range(8), "is bad"), "raise")


def test_frozen_splits_are_one_file_for_each_root(made_up, tmp_path):
    for _ in range(2):
        settle(made_up(["a1", "a2", "b1", "b2"], label=list("aabb")), cache_dir=tmp_path)
    assert len(list((tmp_path / "splits").iterdir())) == 1


FEW = [f"a{number}" for number in range(9)] + [f"b{number}" for number in range(9)]


@pytest.fixture
def torn(settled, tmp_path):
    """Settles two small classes, leaves half of their frozen splits, and gives that file."""
    settled(FEW)
    file = next((tmp_path / "cache" / "splits").iterdir())
    file.write_bytes(file.read_bytes()[:50])
    return file


@pytest.mark.parametrize("damage", ["{", "[1]", '{"a": 1}', "null"])
def test_damaged_splits_are_drawn_again_where_they_were_drawn_so_before(settled, torn, caplog, damage):
    before, _ = settled(FEW)
    kept = torn.read_text()
    torn.write_text(damage)
    assert settled(FEW)[0].split.tolist() == before.split.tolist()
    assert f"{torn} is damaged; it is made anew, with the same splits" in caplog.text
    assert torn.read_text() == kept


def test_damaged_splits_of_a_class_that_has_grown_since_are_refused_by_name(settled, torn):
    for _ in range(2):
        with pytest.raises(ValueError, match=rf"{torn}, which keeps .* is damaged.* or delete it"):
            settled([*FEW, *(f"a{number}" for number in range(10, 90))])
