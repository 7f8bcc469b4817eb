import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import multiclass_calibration_error

from models.calibration import fit_temperature, reliability
from models.probabilities import label_probabilities, probabilities


def drawn(samples=4000, classes=5, temperature=1.0, seed=0):
    """Logits and labels for which `temperature` is the right one."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(samples, classes)) * 3
    probs = probabilities(logits)
    labels = (probs.cumsum(1) > rng.random((samples, 1))).argmax(1)
    return logits * temperature, labels


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_the_temperature_that_was_put_in_is_found(temperature):
    assert fit_temperature(*drawn(temperature=temperature)) == pytest.approx(temperature, rel=0.05)


def test_scaling_lowers_the_error_of_an_overconfident_model_on_other_samples():
    temperature = fit_temperature(*drawn(temperature=3.0))
    logits, labels = drawn(temperature=3.0, seed=1)
    before, after = (
        reliability(p.max(1), p.argmax(1) == labels).ece
        for p in (probabilities(logits), probabilities(logits, temperature))
    )
    assert after < before / 4


def test_a_perfect_validation_set_does_not_make_the_model_certain():
    logits = np.eye(3)[np.arange(30) % 3] * 5.0
    temperature = fit_temperature(logits, np.arange(30) % 3)
    assert 0.3 < temperature < 3
    assert probabilities(logits, temperature).max() < 0.999


def test_several_labels_are_scaled_by_one_temperature():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(3000, 4)) * 2
    labels = (rng.random(logits.shape) < label_probabilities(logits)).astype(int)
    assert fit_temperature(logits * 2, labels) == pytest.approx(2.0, rel=0.1)


def test_the_calibration_error_agrees_with_torchmetrics():
    logits, labels = drawn(temperature=2.0)
    probs = probabilities(logits)
    expected = multiclass_calibration_error(torch.tensor(probs), torch.tensor(labels), num_classes=5, n_bins=15)
    assert reliability(probs.max(1), probs.argmax(1) == labels).ece == pytest.approx(float(expected), abs=1e-6)


def test_an_empty_bin_says_so():
    found = reliability(np.array([0.95, 0.97]), np.array([True, False]))
    assert found.count.tolist() == [0] * 14 + [2]
    assert np.isnan(found.accuracy[0])
    assert found.accuracy[-1] == 0.5


def test_certainty_falls_into_the_last_bin():
    assert reliability(np.array([1.0, 0.0]), np.array([True, False])).count[[0, -1]].tolist() == [1, 1]


def test_unusable_logits_are_refused():
    with pytest.raises(ValueError, match="NaN or infinity"):
        fit_temperature(np.array([[1.0, np.nan]]), np.array([0]))
    with pytest.raises(ValueError, match=r"\(2, 3\)"):
        fit_temperature(np.ones((2, 3)), np.array([0]))
