import pytest

from datamodule.digits import Digits
from datamodule.quality import Issue
from models.label_pages import quality_sections
from utils.report import Text


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    data = Digits(n_samples=60, cache_dir=str(tmp_path_factory.mktemp("cache")))
    data.prepare()
    return data


def shown(digits, *issues):
    return quality_sections(digits.inventory, digits.reader(digits.inventory), issues, thumbnails=10)


def test_a_pair_is_shown_once_side_by_side_and_files_are_named_first(digits):
    first, second = (str(path) for path in digits.inventory.path[:2])
    pair = (Issue(first, "train", "3", "near duplicate", "likeness 0.99", second, "test"),
            Issue(second, "test", "3", "near duplicate", "likeness 0.99", first, "train"))  # fmt: skip
    near, blank = shown(digits, *pair, Issue(first, "train", "3", "blank", "contrast 0.0 of 255"))
    assert (near.title, blank.title) == ("Near duplicate across splits", "Blank")
    [picture] = near.blocks[0].pictures
    assert picture.beside is not None and picture.title == "test · train"
    assert picture.note == f"{second} · {first} · likeness 0.99"
    [picture] = blank.blocks[0].pictures
    assert picture.note == f"{first} · contrast 0.0 of 255" and picture.hint == f"{first}: contrast 0.0 of 255"


def test_a_file_that_cannot_be_shown_is_a_line(digits):
    [section] = shown(digits, Issue("gone.png", "", "", "unreadable", "is empty"))
    assert section.blocks == (Text("gone.png: is empty"),)


def test_nothing_found_is_said(digits):
    [section] = shown(digits)
    assert section.blocks == (Text("No duplicate, blank, dark, odd-sized or outlying image."),)
