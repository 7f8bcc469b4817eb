import csv
import io
from dataclasses import replace

import numpy as np
import pytest

from datamodule.decode import BadImage
from datamodule.quality import examine, quality_csv, summary


@pytest.fixture
def pictures(photograph):
    """80 different pictures of 40 x 40."""
    return [photograph(seed, 40, 40) for seed in range(80)]


@pytest.fixture
def examined(pictures, made_up):
    """The issues of these pictures once a test has changed some: row → picture."""

    def run(changes=(), split="train", left_out=(), **columns):
        images = dict(enumerate(pictures)) | dict(changes)
        paths = [f"{row:03}.png" for row in range(len(images))]
        sizes = {
            "height": [len(image) for image in images.values()],
            "width": [image.shape[1] for image in images.values()],
        }
        inventory = made_up(paths, label=["cat"] * len(paths), split=split, **sizes | columns)
        return examine(inventory, images.__getitem__, left_out)

    return run


def kinds(issues):
    return {(issue.file, issue.kind) for issue in issues}


def test_ordinary_pictures_are_left_in_peace(examined):
    assert examined() == []


def test_a_recompressed_copy_in_another_split_comes_first_and_names_its_twin(examined, pictures):
    grainy = np.clip(pictures[3].astype(int) + np.random.default_rng(0).integers(-3, 4, (40, 40, 3)), 0, 255)
    blank = np.full((40, 40, 3), 90, np.uint8)
    issues = examined({7: blank, 20: grainy.astype(np.uint8)}, split=["train"] * 10 + ["test"] * 70)
    assert [issue.file for issue in issues] == ["003.png", "020.png", "007.png"]
    assert issues[0].kind == "near duplicate" and issues[0].across
    assert (issues[0].other, issues[0].other_split) == ("020.png", "test")
    assert summary(issues) == "2 near duplicates (2 across splits), 1 blank"


def test_a_copy_in_another_split_is_named_before_one_in_the_same(examined, pictures):
    split = ["train"] * 79 + ["val"]
    issues = examined({1: pictures[0], 79: pictures[0]}, split=split)
    assert [(issue.file, issue.other) for issue in issues[:2]] == [("000.png", "079.png"), ("001.png", "079.png")]


def test_equal_files_are_exact_duplicates_and_not_near_ones_too(examined, pictures):
    same = [f"{row}" for row in range(80)]
    same[5] = same[4]
    issues = examined({5: pictures[4]}, sha256=same)
    assert kinds(issues) == {("004.png", "exact duplicate"), ("005.png", "exact duplicate")}


def test_blank_dark_and_bright_pictures_are_named(examined, pictures):
    dim, pale = (pictures[1] // 6, 255 - pictures[2] // 6)
    issues = examined({0: np.full((40, 40, 3), 255, np.uint8), 1: dim, 2: pale})
    assert {("000.png", "blank"), ("001.png", "dark"), ("002.png", "bright")} <= kinds(issues)


def test_a_picture_far_smaller_or_longer_than_the_others_is_odd(examined, photograph):
    issues = examined({0: photograph(0, 10, 10), 1: photograph(1, 20, 80)})
    assert {("000.png", "odd size"), ("001.png", "odd size")} <= kinds(issues)
    assert len(issues) == 2


def test_noise_and_a_chessboard_among_pictures_are_outliers(examined):
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    board = np.broadcast_to((np.indices((40, 40)).sum(0) % 2 * 255).astype(np.uint8)[..., None], (40, 40, 3))
    assert kinds(examined({10: noise, 11: board})) == {("010.png", "outlier"), ("011.png", "outlier")}


def test_an_unreadable_picture_is_a_line_and_not_the_end(made_up, pictures):
    def read(row):
        if row == 2:
            raise BadImage("is truncated")
        return pictures[row]

    inventory = made_up([f"{row:03}" for row in range(5)], split="train", width=40, height=40)
    [issue] = examine(inventory, read)
    assert (issue.file, issue.kind, issue.note) == ("002", "unreadable", "is truncated")


def test_files_that_were_left_out_before_are_listed(examined):
    [issue] = examined(left_out=[("b.png", "is a.png of the test split")])
    assert (issue.file, issue.kind, issue.note) == ("b.png", "left out", "is a.png of the test split")


def test_pictures_of_different_sizes_and_channels_are_compared(examined, pictures):
    large = np.repeat(np.repeat(pictures[0], 2, axis=0), 2, axis=1)
    gray = np.repeat(pictures[3].mean(axis=2).astype(np.uint8)[..., None], 1, axis=2)
    issues = examined({1: large, 2: gray, 4: np.repeat(gray, 3, axis=2)})
    pairs = {frozenset((issue.file, issue.other)) for issue in issues if issue.kind == "near duplicate"}
    assert {frozenset(("000.png", "001.png")), frozenset(("002.png", "004.png"))} <= pairs


def test_the_csv_has_a_line_for_each_issue(examined, pictures):
    issues = examined({1: pictures[0]})
    rows = list(csv.DictReader(io.StringIO(quality_csv(issues))))
    assert [row["file"] for row in rows] == [issue.file for issue in issues]
    assert rows[0]["issue"] == "near duplicate" and rows[0]["other_file"] == "001.png"


def test_an_empty_inventory_has_no_issue(made_up):
    assert examine(made_up([]), {}.__getitem__) == []
    assert summary([]) == "nothing"


def test_issues_come_in_the_same_order_whatever_the_order_of_reading(examined, pictures):
    changes = {5: pictures[0], 60: pictures[1], 61: np.zeros((40, 40, 3), np.uint8)}
    first = examined(changes)
    assert [replace(issue) for issue in examined(changes)] == first
