from collections import Counter

import numpy as np
import pytest

from datamodule.partition import draw, partition, thin

SHARES = {"val": 0.15, "test": 0.15}


@pytest.fixture
def drawn(made_up):
    """Splits by path of so many images in two large classes."""

    def split(count, salt="salt", shares=SHARES, **columns):
        paths = [f"{number:05d}" for number in range(count)]
        given = {"label": [f"{number % 2}" for number in range(count)], **columns}
        inventory = made_up(paths, **given)
        return dict(zip(inventory.path, partition(inventory, shares, salt, {})[0], strict=True))

    return split


def test_draws_evenly_and_by_key_and_salt_alone():
    numbers = draw([f"key {number}" for number in range(2000)], "salt")
    assert numbers.min() >= 0
    assert numbers.max() < 1
    assert np.histogram(numbers, 10, (0, 1))[0].min() > 150
    assert draw(["b", "key 7"], "salt")[1] == numbers[7] != draw(["key 7"], "pepper")[0]


def test_parts_have_about_their_shares(drawn):
    counts = Counter(drawn(4000).values())
    assert 520 < counts["val"] < 680 and 520 < counts["test"] < 680 and counts["train"] > 2600


def test_added_images_move_nothing(drawn):
    before, after = drawn(500), drawn(900)
    assert all(after[path] == split for path, split in before.items())


def test_another_salt_draws_other_splits(drawn):
    assert drawn(500) != drawn(500, salt="pepper")


def test_a_larger_share_keeps_what_was_held_out(drawn):
    before, after = drawn(900), drawn(900, shares={"val": 0.2, "test": 0.3})
    assert all(after[path] == "test" for path, split in before.items() if split == "test")
    assert all(after[path] != "train" for path, split in before.items() if split == "val")


def test_equal_images_and_groups_never_straddle(drawn):
    contents = [f"{number // 4}" for number in range(400)]
    by_content, by_group = drawn(400, sha256=contents), drawn(400, group=contents)
    for splits in (by_content, by_group):
        assert all(len({splits[f"{4 * n + k:05d}"] for k in range(4)}) == 1 for n in range(100))
        assert set(splits.values()) == {"train", "val", "test"}


def test_given_splits_win_and_a_missing_part_is_cut_from_training(drawn):
    given = ["test" if number < 100 else "train" for number in range(900)]
    splits = drawn(900, split=given)
    assert [path for path, split in splits.items() if split == "test"] == [f"{number:05d}" for number in range(100)]
    assert 80 < list(splits.values()).count("val") < 160


def test_all_parts_given_are_kept_as_they_are(drawn):
    given = [("train", "val", "test", "pool")[number % 4] for number in range(400)]
    assert list(drawn(400, split=given).values()) == given


def test_a_share_of_nothing_leaves_a_part_empty(drawn):
    assert set(drawn(400, shares={"val": 0.0, "test": 0.2}).values()) == {"train", "test"}


def test_images_without_a_label_are_the_pool(made_up):
    inventory = made_up(["1", "2"], label=["a", ""], split=["train", "train"])
    assert partition(inventory, {}, "salt", {})[0].tolist() == ["train", "pool"]


@pytest.mark.parametrize(
    ("count", "parts"), [(1, (1, 0, 0)), (2, (1, 1, 0)), (3, (1, 1, 1)), (10, (6, 2, 2)), (19, (13, 3, 3))]
)
def test_a_small_class_has_images_in_every_part_that_it_can(made_up, count, parts):
    inventory = made_up([f"{number}" for number in range(count)], label=["a"] * count)
    for salt in "abc":
        found = Counter(partition(inventory, SHARES, salt, {})[0])
        assert (found["train"], found["val"], found["test"]) == parts


def test_a_small_classs_first_split_stays_when_it_grows(made_up, drawn):
    few = made_up([f"{number:05d}" for number in range(8)], label=["a"] * 8)
    first, frozen = partition(few, SHARES, "salt", {})
    many = made_up([f"{number:05d}" for number in range(300)], label=["a"] * 300)
    grown, _ = partition(many, SHARES, "salt", frozen)
    assert grown[:8].tolist() == first.tolist()
    assert grown[8:].tolist() == list(drawn(300, label=["a"] * 300).values())[8:]
    assert partition(many, SHARES, "salt", {})[0][:8].tolist() != first.tolist()


def test_later_images_of_a_class_that_is_still_small_move_nothing(made_up):
    first, frozen = partition(made_up(list("abcde"), label=["a"] * 5), SHARES, "salt", {})
    second, again = partition(made_up(list("abcdefgh"), label=["a"] * 8), SHARES, "salt", frozen)
    assert second[:5].tolist() == first.tolist()
    assert again == frozen


def test_a_subset_keeps_the_proportions_and_lies_within_a_larger_one(made_up):
    labels = ["a" if number % 10 else "b" for number in range(1000)]
    inventory = made_up([f"{number:04d}" for number in range(1000)], label=labels, split=["train", "test"] * 500)
    small, large = thin(inventory, 100, "salt"), thin(inventory, 0.3, "salt")
    assert (len(small), len(large)) == (100, 300)
    assert set(small) < set(large)
    assert set(small) != set(thin(inventory, 100, "pepper"))
    counts = Counter(zip(inventory.split[small], inventory.label[small], strict=True))
    shares = Counter(zip(inventory.split, inventory.label, strict=True))
    assert all(abs(counts[cell] - count / 10) <= 1 for cell, count in shares.items())


def test_a_subset_keeps_each_class_of_each_split_and_says_how_many_images_that_takes(made_up, caplog):
    labels = ["rare" if number < 2 else "common" for number in range(200)]
    inventory = made_up([f"{number:04d}" for number in range(200)], label=labels, split=["train", "val"] * 100)
    assert len(thin(inventory, 4, "salt")) == 4 and not caplog.text
    kept = thin(inventory, 0.005, "salt")
    assert "datamodule.n_samples=0.005: 4 images are taken; each split, and each class in it, keeps one" in caplog.text
    assert len(set(zip(inventory.split[kept], inventory.label[kept], strict=True))) == 4


def test_more_images_than_there_are_cannot_be_had(made_up):
    with pytest.raises(ValueError, match=r"asked for 3 images of 2 .* lower datamodule.n_samples"):
        thin(made_up(["1", "2"]), 3, "salt")
