import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict

from datamodule.digits import read_digits
from models.label_errors import confident_joint, findings, likely_wrong, lowest, margin, score_out_of_sample

CLASSES = 4


def flipped(true: np.ndarray, share: float, classes: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    wrong = rng.choice(len(true), round(share * len(true)), replace=False)
    given = true.copy()
    given[wrong] = (given[wrong] + rng.integers(1, classes, len(wrong))) % classes
    return given


def sure(true: np.ndarray, classes: int = CLASSES) -> np.ndarray:
    """Probabilities of a network that is right each time."""
    return np.where(np.eye(classes, dtype=bool)[true], 0.9, 0.1 / (classes - 1))


@pytest.fixture(scope="module")
def digits():
    """True and flipped labels of the digits, and logits by a network that did not see them."""
    pixels, true = read_digits()
    given = flipped(true, 0.1, 10)
    model = LogisticRegression(C=0.01, max_iter=200)
    logits = cross_val_predict(model, pixels.reshape(len(pixels), -1) / 255, given, cv=3, method="decision_function")
    return true, given, logits


def test_a_margin_is_the_lead_of_the_given_class():
    logits = np.array([[3.0, 1.0, 2.0], [3.0, 1.0, 2.0]])
    np.testing.assert_array_equal(margin(logits, np.array([0, 1])), [1.0, -2.0])
    np.testing.assert_array_equal(logits, [[3.0, 1.0, 2.0]] * 2)


def test_the_joint_counts_given_against_true_classes():
    true = np.repeat(np.arange(CLASSES), 100)
    given = true.copy()
    given[:30] = 1
    joint = confident_joint(sure(true), given)
    expected = np.diag([70.0, 100, 100, 100])
    expected[1, 0] = 30
    np.testing.assert_allclose(joint, expected, atol=1e-9)


def test_a_class_that_nobody_has_harms_nothing():
    true = np.repeat([0, 1, 3], 50)
    joint = confident_joint(sure(true), true)
    assert joint[2].sum() == 0 and joint[:, 2].sum() == 0
    assert not likely_wrong(sure(true), true).any()


def test_flags_the_flipped_labels_and_no_other_when_the_network_is_sure():
    true = np.repeat(np.arange(CLASSES), 100)
    given = flipped(true, 0.2, CLASSES)
    probs = sure(true)
    found = findings(given, margin(np.log(probs), given), np.log(probs), probs)
    np.testing.assert_array_equal(found.flagged, given != true)
    np.testing.assert_array_equal(found.suggested, true)


def test_ranks_are_a_permutation_with_the_lowest_score_first():
    found = findings(np.array([0, 1, 0]), np.array([0.5, -2.0, 0.5]), np.eye(3), np.eye(3))
    np.testing.assert_array_equal(found.rank, [2, 1, 3])
    np.testing.assert_array_equal(found.order, [1, 0, 2])


def test_a_flag_always_comes_with_another_suggestion(digits):
    _, given, logits = digits
    found = score_out_of_sample(logits, given)
    assert found.flagged.any() and not (found.flagged & (found.suggested == given)).any()


def test_out_of_sample_finds_flipped_digits_and_suggests_the_right_ones(digits):
    true, given, logits = digits
    wrong = given != true
    found = score_out_of_sample(logits, given)
    assert roc_auc_score(wrong, -found.score) > 0.98
    assert (found.suggested == true)[wrong].mean() > 0.85
    assert found.flagged[wrong].mean() > 0.85 and wrong[found.flagged].mean() > 0.75


def test_marks_exactly_as_many_as_asked_even_among_equals():
    np.testing.assert_array_equal(lowest(np.array([1.0, 0.0, 1.0, 1.0]), 2), [True, True, False, False])
    assert not lowest(np.array([1.0]), 0).any()


REFUSED = {
    "unlabelled": (np.zeros((3, 2)), np.array([0, -1, 1]), "leave unlabelled out"),
    "a class too many": (np.zeros((3, 2)), np.array([0, 2, 1]), "do not fit 2 classes"),
    "shares instead of classes": (np.zeros((3, 2)), np.zeros(3), "mixup"),
    "another count": (np.zeros((3, 2)), np.zeros(2, int), r"\(3, 2\)"),
    "one class": (np.zeros((3, 1)), np.zeros(3, int), "at least 2 classes"),
    "not a number": (np.full((3, 2), np.nan), np.zeros(3, int), "NaN"),
}


@pytest.mark.parametrize(("logits", "labels", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_judged_is_refused_in_words(logits, labels, said):
    with pytest.raises(ValueError, match=said):
        score_out_of_sample(logits, labels)
