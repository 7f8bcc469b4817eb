"""Two models on the same images: pairs by content, the right winner, honest about size."""

from pathlib import Path

import numpy as np
import pytest

from datamodule.inventory import inventory_of
from models.comparison import Side, compare, shared_places
from models.inference import Predictions


def side(name, images, right, target=None):
    """A model that is right on those of `images` (contents) that are in `right`."""
    inventory = inventory_of(Path(name), {"path": [f"{name}{i:04}" for i in images], "sha256": [str(i) for i in images],
                                          "label": "a"}, ["a", "b"])  # fmt: skip
    logits = np.array([[1.0, 0.0] if i in right else [0.0, 1.0] for i in images], np.float32)
    return Side(name, Predictions(np.arange(len(images)), np.zeros(len(images), np.int64), logits), inventory)


def test_images_are_matched_by_their_content_wherever_they_lie():
    first, second = side("x", [5, 6, 7], {5}), side("y", [6, 7, 9], {6})
    one, two = shared_places(first, second)
    assert one.tolist() == [1, 2] and two.tolist() == [0, 1]


def test_the_better_model_is_named_with_its_evidence():
    images = list(range(200))
    lines = compare("classification", side("new", images, set(range(150))), side("old", images, set(range(120))))
    assert "new 0.7500 against old 0.6000 on 200 images: new is better" in lines[0]
    assert "30 times, only the second 0 times" in lines[1] and "with a chance of" in lines[2]


def test_chance_is_not_called_better():
    images = list(range(50))
    lines = compare("classification", side("new", images, {0, 1, 2}), side("old", images, {0, 1, 3}))
    assert "no difference was found" in lines[0] and "p = 1" in lines[0]


def test_models_without_a_common_image_are_refused():
    with pytest.raises(ValueError, match=r"no test image in common: name one for both, tester\.data=DIR"):
        compare("classification", side("new", [1], {1}), side("old", [2], {2}))


def test_values_are_compared_by_the_difference_of_their_errors():
    rng, images = np.random.default_rng(0), list(range(100))
    target = rng.normal(size=(100, 1))
    sides = []
    for name, noise in (("near", 0.1), ("far", 1.0)):
        one = side(name, images, set())
        answers = (target + noise * rng.normal(size=(100, 1))).astype(np.float32)
        sides.append(Side(name, Predictions(np.arange(100), target, answers), one.inventory))
    lines = compare("regression", *sides)
    assert "MAE -0." in lines[1] and "near is better; " in lines[1] and "near is better" in lines[3]
    other_way = compare("regression", *sides[::-1])
    assert "MAE +0." in other_way[1] and "near is better" in other_way[1]


def test_masks_are_compared_by_the_difference_of_their_overlap_image_by_image():
    rng, images = np.random.default_rng(0), list(range(40))
    sides = []
    for name, wrong in (("sharp", 5), ("blurred", 20)):
        first, second = rng.integers(0, wrong, (2, 40))
        counts = np.array([[[100 - a, a], [b, 50 - b]] for a, b in zip(first, second, strict=True)])
        one = side(name, images, set())
        sides.append(Side(name, Predictions(np.arange(40), counts.sum(2), counts), one.inventory))
    lines = compare("segmentation", *sides)
    assert lines[0].startswith("sharp less blurred on 40 images")
    assert lines[1].startswith("Mean IoU +") and "points" in lines[1] and "sharp is better" in lines[1]
    same = compare("segmentation", sides[0], sides[0])
    assert "Mean IoU +0 points" in same[1] and "no difference was found" in same[1]


def test_labels_are_compared_by_the_difference_of_their_ranking():
    rng, images = np.random.default_rng(0), list(range(120))
    target = rng.integers(0, 2, (120, 3))
    sides = []
    for name, noise in (("near", 0.5), ("far", 3.0)):
        logits = (2 * target - 1 + noise * rng.normal(size=(120, 3))).astype(np.float32)
        sides.append(Side(name, Predictions(np.arange(120), target, logits), side(name, images, set()).inventory))
    lines = compare("multilabel", *sides)
    assert lines[1].startswith("mAP +") and "near is better" in lines[1] and "four times out of five" in lines[1]
