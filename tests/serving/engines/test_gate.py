"""The gate refuses what answers otherwise, and says by how much."""

import numpy as np
import pytest

from serving.engines.gate import Tolerance, judge

REFERENCE = np.eye(4, dtype=np.float32)[np.arange(1000) % 4]
TARGET = np.arange(1000) % 4


def flipped(count: int) -> np.ndarray:
    """The reference with so many decisions changed."""
    said = REFERENCE.copy()
    said[:count] = np.roll(said[:count], 1, axis=1)
    return said


def test_the_same_answers_pass():
    verdict = judge("classification", REFERENCE, REFERENCE, TARGET, Tolerance())
    assert verdict.accepted and verdict.agreement == verdict.accuracy == 1.0
    assert verdict.why == "agrees on 100.00% of 1,000 images, accuracy 100.00% against 100.00%"


@pytest.mark.parametrize(("changed", "accepted"), [(2, True), (3, False)])
def test_two_thousandths_of_the_accuracy_may_be_lost(changed, accepted):
    assert judge("classification", flipped(changed), REFERENCE, TARGET, Tolerance()).accepted is accepted


@pytest.mark.parametrize(("changed", "accepted"), [(10, True), (11, False)])
def test_one_decision_in_a_hundred_may_differ_where_no_target_says_which_is_right(changed, accepted):
    verdict = judge("classification", flipped(changed), REFERENCE, None, Tolerance())
    assert verdict.accepted is accepted and verdict.accuracy is None
    assert accepted or "agrees on 98.90% of 1,000 images; 99.00% asked for" in verdict.why


def test_an_engine_that_is_right_more_often_than_the_model_is_still_bound_to_agree():
    assert not judge("classification", REFERENCE, flipped(20), TARGET, Tolerance()).accepted


def test_limits_can_be_set_and_impossible_ones_are_refused():
    assert judge("classification", flipped(30), REFERENCE, TARGET, Tolerance(0.97, 3.0)).accepted
    with pytest.raises(ValueError, match=r"engine\.agreement=99 must lie in \[0, 1\]"):
        Tolerance(agreement=99)
    with pytest.raises(ValueError, match=r"engine\.accuracy_drop=-1"):
        Tolerance(accuracy_drop=-1)


def test_what_is_no_number_is_refused():
    said = REFERENCE.copy()
    said[3, 2] = np.nan
    assert judge("classification", said, REFERENCE, TARGET, Tolerance()).why == "it answers with what is not a number"


def test_other_tasks_agree_label_by_label_pixel_by_pixel_and_value_by_value():
    labels = np.where(REFERENCE > 0, 2.0, -2.0)
    assert judge("multilabel", -labels, labels, None, Tolerance()).agreement == 0
    pixels = np.random.default_rng(0).normal(size=(10, 3, 8, 8))
    shifted = np.concatenate([pixels[:, :, :, :4], np.roll(pixels[:, :, :, 4:], 1, axis=1)], axis=3)
    assert judge("segmentation", shifted, pixels, None, Tolerance()).agreement == pytest.approx(0.5)
    values = np.linspace(0, 100, 1000)[:, None]
    verdict = judge("regression", values + 0.1, values, values, Tolerance())
    assert verdict.accepted and verdict.why.endswith("explained variance 100.00% against 100.00%")
    assert not judge("regression", values + 5, values, values, Tolerance()).accepted


def test_pixels_whose_class_is_not_told_count_neither_as_right_nor_as_wrong():
    logits = np.tile(np.array([[2.0], [-2.0]])[:, :, None], (10, 1, 4, 4))
    target = np.zeros((10, 4, 4), np.uint8)
    target[:, :2] = 255
    assert judge("segmentation", logits, logits, target, Tolerance()).accuracy == 1.0
    assert judge("segmentation", logits, logits, np.full_like(target, 255), Tolerance()).accepted


def test_of_several_heads_each_is_judged_on_its_own():
    """A colour that is always right does not hide a digit that an engine gets wrong more often than the model."""
    classes = ["digit=0", "digit=1", "colour=blue", "colour=red"]
    truth = np.stack([TARGET % 2, 2 + TARGET // 2], axis=1)
    logits = np.concatenate([np.eye(2)[TARGET % 2], np.eye(2)[TARGET // 2]], axis=1)
    same = judge("heads", logits, logits, truth, Tolerance(), classes)
    assert same.accepted and same.accuracy == same.agreement == 1
    assert same.why.startswith("digit agrees on 100.00% of 1,000 images, accuracy 100.00% against 100.00%; colour ")
    louder = logits * [1, 1, 9, 9]  # other numbers, the same classes
    assert judge("heads", louder, logits, truth, Tolerance(), classes).accepted
    said = logits.copy()
    said[:3, :2] = 1 - said[:3, :2]
    verdict = judge("heads", said, logits, truth, Tolerance(), classes)
    assert not verdict.accepted and verdict.agreement == verdict.accuracy == 0.997
    assert verdict.why.startswith("digit agrees on 99.70%") and "colour" not in verdict.why
    assert judge("heads", said, logits, None, Tolerance(), classes).accuracy is None


def test_of_several_values_each_is_judged_on_its_own():
    """A price does not hide an age that an engine gets wrong: their numbers lie far apart."""
    truth = np.stack([np.linspace(1e5, 9e5, 1000), np.linspace(20, 80, 1000)], axis=1)
    same = judge("regression", truth, truth, truth, Tolerance(), ["price", "age"])
    assert same.accepted and same.why.startswith("price agrees on 100.00% of 1,000 images, explained variance 100.00%")
    said = truth - [0, 20]
    verdict = judge("regression", said, truth, truth, Tolerance(), ["price", "age"])
    assert not verdict.accepted and verdict.agreement == 0 and verdict.accuracy == pytest.approx(-0.33, abs=0.01)
    assert (
        verdict.why.startswith("age agrees on 0.00% of 1,000 images, explained variance -33.")
        and "price" not in verdict.why
    )
