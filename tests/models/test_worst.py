import numpy as np
import pytest

from datamodule.digits import Digits
from models.inference import Predictions
from models.worst import worst_labels, worst_values
from utils.report import Gallery, Text


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    data = Digits(n_samples=60, cache_dir=str(tmp_path_factory.mktemp("cache")))
    data.prepare()
    return data


def told(section):
    [gallery] = section.blocks
    assert isinstance(gallery, Gallery)
    return [picture.title for picture in gallery.pictures]


def test_the_most_confidently_wrong_label_comes_first_with_what_was_missed_and_added(digits):
    target, probs = np.zeros((4, 10)), np.full((4, 10), 0.1)
    target[0, 3] = target[1, 2] = target[3, 5] = 1
    probs[0, 3], probs[1, 2], probs[1, 7], probs[3, 5] = 0.05, 0.4, 0.8, 0.9  # the third and fourth are right
    asked = []
    section = worst_labels(
        Predictions(np.arange(4), target, np.zeros((4, 10))), probs, digits, lambda image, label: asked.append(label)
    )
    assert told(section) == ["misses 3 (5.0\u00a0%)", "adds 7 (80.0\u00a0%), misses 2 (40.0\u00a0%)"] and asked == [
        3,
        7,
    ]
    assert section.blocks[0].pictures[0].share == pytest.approx(0.95)


def test_where_every_label_is_right_it_is_said(digits):
    target = np.eye(10)[:3]
    section = worst_labels(Predictions(np.arange(3), target, target), 0.9 * target, digits, lambda *_: None)
    assert section.blocks == (Text("Every label of every image is right."),)


def test_values_are_ranked_in_deviations_whatever_their_units(digits):
    target = np.zeros((4, 10))
    target[:, 0], target[:, 1] = [1000, 1001, 1002, 1003], [0.1, 0.2, 0.3, 0.4]
    guess = target.copy()
    guess[0, 0] += 1
    guess[1, 1] += 0.3
    titles = told(worst_values(Predictions(np.arange(4), target, guess), digits))
    assert titles[0].startswith("1 0.20 → 0.50") and titles[1].startswith("0 1000.0 → 1001.0")
