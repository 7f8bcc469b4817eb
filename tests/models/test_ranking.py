import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from models.ranking import auc, average_precision

SAMPLES = st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=40)


@given(SAMPLES)
def test_both_agree_with_scikit_learn_with_many_ties(samples):
    score, positive = np.array([s for s, _ in samples], float), np.array([p for _, p in samples])
    if positive.all() or not positive.any():
        return
    assert auc(score, positive)[0] == pytest.approx(roc_auc_score(positive, score))
    assert average_precision(score, positive)[0] == pytest.approx(average_precision_score(positive, score))


@pytest.mark.parametrize(("figure", "reference"), [(auc, roc_auc_score), (average_precision, average_precision_score)])
def test_influence_is_the_change_when_a_sample_counts_a_little_more(figure, reference):
    rng = np.random.default_rng(0)
    score, positive = rng.integers(0, 20, size=60).astype(float), rng.random(60) < 0.3
    value, influence = figure(score, positive)
    for sample in range(60):
        weight = np.ones(60)
        weight[sample] += 1e-4
        changed = reference(positive, score, sample_weight=weight)
        assert (changed - value) / 1e-4 * 60 == pytest.approx(influence[sample], abs=0.02)


@pytest.mark.parametrize("figure", [auc, average_precision])
def test_influences_cancel_out(figure):
    rng = np.random.default_rng(1)
    _, influence = figure(rng.normal(size=300), rng.random(300) < 0.2)
    assert influence.sum() == pytest.approx(0, abs=1e-3)


def test_a_class_without_a_positive_has_no_figure():
    score = np.arange(4.0)
    assert np.isnan(auc(score, np.zeros(4, bool))[0])
    assert np.isnan(auc(score, np.ones(4, bool))[0])
    assert np.isnan(average_precision(score, np.zeros(4, bool))[0])
