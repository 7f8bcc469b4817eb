from pathlib import Path

import pytest

from datamodule.inventory import inventory_of
from datamodule.preprocessing import Preprocessing
from datamodule.sizing import image_size, training_squash


def inventory(*sides):
    heights, widths = zip(*sides, strict=True)
    names = [str(number) for number in range(len(sides))]
    return inventory_of(Path("memory"), {"path": names, "sha256": "", "height": heights, "width": widths}, [])


def eye(height, width, crop=1.0):
    return Preprocessing(height, width, 3, (0.5,) * 3, (0.5,) * 3, crop=crop)


@pytest.mark.parametrize(
    ("sides", "height", "width", "size"),
    [
        ([(8, 10), (8, 10)], None, None, (8, 10)),
        ([(8, 10), (10, 8)], None, None, (224, 224)),
        ([(8, 10), (10, 8)], 64, None, (64, 64)),
        ([(20, 40)], 10, None, (10, 20)),
        ([(20, 40)], None, 10, (5, 10)),
        ([(20, 40)], 7, 9, (7, 9)),
    ],
)
def test_the_size_is_the_one_asked_for_and_else_the_images_own(sides, height, width, size):
    assert image_size(inventory(*sides), height, width) == size


def test_no_other_store_without_crops_that_want_more():
    assert training_squash(inventory((300, 400), (500, 400)), eye(224, 224), 1.0) is None


def test_larger_images_are_stored_larger_and_whole():
    squash = training_squash(inventory((300, 400), (500, 400)), eye(224, 200), 1.15)
    assert squash is not None and (squash.height, squash.width) == (258, 230)


def test_the_store_is_no_larger_than_the_largest_image():
    squash = training_squash(inventory((230, 400), (200, 400)), eye(224, 224), 1.15)
    assert squash is not None and (squash.height, squash.width) == (230, 258)


def test_images_that_evaluation_sees_whole_and_at_full_size_are_stored_once():
    assert training_squash(inventory((32, 32), (32, 32)), eye(32, 32), 1.15) is None
    assert training_squash(inventory((16, 16), (20, 20)), eye(32, 32), 1.15) is None


@pytest.mark.parametrize(("sides", "crop"), [([(32, 40)], 1.0), ([(32, 32)], 0.875), ([(64, 64)], 1.0)])
def test_what_evaluation_cuts_off_is_kept_for_training(sides, crop):
    assert training_squash(inventory(*sides), eye(32, 32, crop), 1.15) is not None
