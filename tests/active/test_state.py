import numpy as np
import pytest

from active.state import ModelState, label_shift, shift_p


def answers(rng, count, shares):
    truth = rng.choice(len(shares), count, p=shares)
    logits = 1.5 * np.eye(len(shares))[truth] + rng.gumbel(size=(count, len(shares)))
    return np.exp(logits) / np.exp(logits).sum(1, keepdims=True), truth


EVEN, MOVED = [0.25, 0.25, 0.25, 0.25], [0.55, 0.15, 0.15, 0.15]


def test_a_pool_that_has_not_moved_is_called_so_as_often_as_promised():
    rng = np.random.default_rng(0)
    alarms = [shift_p(answers(rng, 300, EVEN)[0], answers(rng, 300, EVEN)[0]) < 0.05 for _ in range(200)]
    assert np.mean(alarms) < 0.08


def test_a_pool_that_has_moved_is_noticed_and_its_classes_are_estimated():
    rng = np.random.default_rng(0)
    reference, known = answers(rng, 500, EVEN)
    pool, _ = answers(rng, 500, MOVED)
    found = ModelState().estimate(reference, known, reference, known, pool)
    assert found.shifted and found.shift_p < 0.01
    assert np.abs(np.array(found.shares) - MOVED).max() < 0.1
    assert label_shift(reference, known, pool).sum() == pytest.approx(1)


def test_calibration_errors_of_a_model_that_is_too_sure():
    probs = np.tile([0.95, 0.05], (100, 1))
    truth = np.where(np.arange(100) < 75, 0, 1)
    found = ModelState().estimate(probs, truth, probs, truth, probs)
    assert found.accuracy == 0.75 and found.low < 0.75 < found.high
    assert found.ece == pytest.approx(0.2) and found.mce == pytest.approx(0.2)


def test_without_labels_there_is_no_accuracy_but_the_pool_is_described():
    none = np.zeros((0, 2))
    found = ModelState().estimate(none, np.zeros(0, int), none, np.zeros(0, int), np.full((5, 2), 0.5))
    assert found.accuracy is None and found.shift_p is None and not found.shifted
    assert found.uncertainty == 1.0 and found.entropy == pytest.approx(np.log(2))
