"""A bundle hands the monitoring what it keeps: logits as they are, of masks what they show."""

import numpy as np
import pytest

from serving.answers import Asked, teller
from serving.bundle import Bundle
from serving.engines.engine import Engine, Facts
from serving.monitoring.scores import of_masks
from tests.serving.networks import brightness
from tests.serving.test_answers import SHAPE, manifest


class Logits(Engine):
    """Answers with what it is given."""

    def __init__(self, shape, logits) -> None:
        super().__init__(Facts("given", "fp32", "cpu", True), shape)
        self.logits = logits

    def answer(self, pixels):
        return self.logits


def asked_of(logits, classes):
    """What a bundle of masks answers, and what it keeps."""
    described = manifest("segmentation", classes)
    bundle = Bundle(
        "main", "live", 1, 1, 1, "0" * 64, described, SHAPE, Logits(SHAPE, logits), teller(described, SHAPE)
    )
    pixels = [np.zeros((SHAPE.height, SHAPE.width, SHAPE.channels), np.uint8)] * len(logits)
    return bundle.answers(pixels, [Asked(1, SHAPE.height, SHAPE.width)] * len(logits))


@pytest.mark.parametrize("classes", [["sky", "tree", "road"], ["cell"]])
def test_of_masks_the_shares_of_the_answer_and_the_mean_confidence_are_kept(classes):
    logits = np.random.default_rng(0).normal(0, 2, (3, len(classes), 6, 6)).astype("f4")
    kept, answers = asked_of(logits, classes)
    np.testing.assert_allclose(kept[:, :-1], [[one["share"] for one in own["shares"]] for own in answers], atol=1e-6)
    each = np.concatenate([0 * logits, logits], axis=1) if len(classes) == 1 else logits
    probs = np.exp(each) / np.exp(each).sum(1, keepdims=True)
    np.testing.assert_allclose(kept[:, -1], probs.max(1).mean((1, 2)), rtol=1e-5)


def test_of_large_masks_some_pixels_stand_for_all():
    logits = np.zeros((1, 2, 100, 300), "f4")
    logits[0, 1, :, :150] = 5
    assert of_masks(logits)[0, 1] == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_a_mask_that_is_no_number_has_no_confidence(broken):
    logits = np.ones((2, 3, 6, 6), "f4")
    logits[0] = broken
    kept, answers = asked_of(logits, ["sky", "tree", "road"])
    assert np.isnan(kept[0, -1]) and np.isfinite(kept[1]).all() and list(answers[0]) == ["error"]


def test_other_logits_are_kept_as_they_are():
    bundle = brightness()
    pixels = [np.full((8, 8, 1), 51, np.uint8)]
    np.testing.assert_allclose(bundle.answers(pixels, [Asked(1, 8, 8)])[0], [[-0.2, 0.2]])
