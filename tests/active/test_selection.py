import numpy as np
import pytest

from active.selection import Leep, LinearProbe, LogMe, leep


@pytest.fixture
def models():
    """Features and logits of a model that fits the classes, and of one that does not."""
    rng = np.random.default_rng(0)
    label = rng.integers(3, size=90)
    good = np.eye(3)[label] * 2 + rng.normal(size=(90, 3))
    return label, np.hstack([good, rng.normal(size=(90, 5))]), good, rng.normal(size=(90, 8)), rng.normal(size=(90, 3))


@pytest.mark.parametrize("selection", [LinearProbe(), Leep(), LogMe()], ids=lambda one: type(one).__name__)
def test_prefers_the_model_that_fits_the_labels(selection, models):
    label, features, logits, other_features, other_logits = models
    assert selection.score(features, logits, label, 3) > selection.score(other_features, other_logits, label, 3)


def test_leep_of_a_model_that_knows_the_classes_is_zero_and_of_one_that_knows_nothing_the_entropy():
    label = np.arange(60) % 3
    assert leep(np.eye(3)[label], label, 3) == pytest.approx(0)
    assert leep(np.full((60, 3), 1 / 3), label, 3) == pytest.approx(-np.log(3))


def test_logme_is_the_evidence_of_a_linear_model_at_its_best_precisions():
    """Against the marginal likelihood on a grid of both precisions."""
    rng = np.random.default_rng(1)
    features, label = rng.normal(size=(40, 6)), np.arange(40) % 2
    features[:, 0] += 2 * label
    found = LogMe().score(features, features, label, 2)
    best = []
    for number in range(2):
        target = (label == number).astype(float)
        grid = [
            _evidence(features, target, alpha, beta)
            for alpha in np.exp(np.linspace(-3, 6, 60))
            for beta in np.exp(np.linspace(-1, 5, 60))
        ]
        best.append(max(grid) / 40)
    assert found == pytest.approx(np.mean(best), abs=2e-3)


def _evidence(features, target, alpha, beta):
    covariance = np.eye(len(target)) / beta + features @ features.T / alpha
    _, logdet = np.linalg.slogdet(covariance)
    quadratic = target @ np.linalg.solve(covariance, target)
    return -0.5 * (logdet + quadratic + len(target) * np.log(2 * np.pi))
