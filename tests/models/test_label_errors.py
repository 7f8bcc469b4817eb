import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict

from datamodule.digits import read_digits
from models.label_errors import confident_joint, confusion, findings, lead, likely_wrong, lowest

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


def test_the_odds_are_of_the_given_class_against_all_others():
    probs = np.array([[0.7, 0.1, 0.2], [0.7, 0.1, 0.2]])
    np.testing.assert_allclose(np.exp(lead(np.log(probs), np.array([0, 1]))), [0.7 / 0.3, 0.1 / 0.9])
    np.testing.assert_array_equal(probs, [[0.7, 0.1, 0.2]] * 2)


def test_a_confusion_of_two_classes_is_seen_in_the_labels_of_the_surest():
    true = np.repeat(np.arange(CLASSES), 500)
    given = true.copy()
    given[:100] = 1
    share = confusion(sure(true), given)
    np.testing.assert_allclose(share.sum(axis=0), 1)
    assert 0.8 < share[1, 0] < 1.0 and share[0, 0] < 0.2  # the surest of class 0 come first here: all labelled 1
    assert share[0, 1] < 0.05 and share[2, 2] > 0.9


def test_chance_flips_look_alike_for_all_classes(digits):
    true, _, _ = digits
    given = flipped(true, 0.3, 10)
    share = confusion(sure(true, 10), given)
    off = share[~np.eye(10, dtype=bool)]
    assert off.max() < 4 * off.mean() and 0.15 < 1 - np.diag(share).mean() < 0.45


def test_a_systematic_confusion_is_ranked_before_an_equally_odd_label():
    """Many of class 0 are labelled 1: a label 1 on an image that looks like a 0 is likelier wrong than a label 2."""
    rng = np.random.default_rng(0)
    true = np.repeat(np.arange(CLASSES), 500)
    given = np.where((true == 0) & (rng.random(len(true)) < 0.4), 1, true)
    logits = 4 * np.eye(CLASSES)[true] + rng.normal(size=(len(true), CLASSES))
    logits = np.vstack([logits, [[2.0, 1.0, 1.0, 0.0]] * 2])
    found = findings(logits, np.append(given, [1, 2]))
    assert found.score[-2] < found.score[-1] and found.suggested[-2] == 0


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


@pytest.mark.parametrize("factor", [0.3, 3.0])
def test_logits_that_are_blunter_or_sharper_find_as_many_of_the_errors(digits, factor):
    true, given, logits = digits
    wrong = given != true
    as_they_are, scaled = (roc_auc_score(wrong, -findings(f * logits, given).score) for f in (1.0, factor))
    assert scaled == pytest.approx(as_they_are, abs=0.005)


def test_flags_the_flipped_labels_and_no_other_when_the_network_is_sure():
    true = np.repeat(np.arange(CLASSES), 100)
    given = flipped(true, 0.2, CLASSES)
    found = findings(np.log(sure(true)), given)
    np.testing.assert_array_equal(found.flagged, given != true)
    np.testing.assert_array_equal(found.suggested, true)


def test_ranks_are_a_permutation_with_the_lowest_score_first():
    found = findings(np.array([[2.0, 0, 0], [5.0, 0, 0], [2.0, 0, 0]]), np.array([0, 1, 0]))
    np.testing.assert_array_equal(found.rank, [2, 1, 3])
    np.testing.assert_array_equal(found.order, [1, 0, 2])


def test_a_flag_always_comes_with_another_suggestion(digits):
    _, given, logits = digits
    found = findings(logits, given)
    assert found.flagged.any() and not (found.flagged & (found.suggested == given)).any()


def test_out_of_sample_finds_flipped_digits_and_suggests_the_right_ones(digits):
    true, given, logits = digits
    wrong = given != true
    found = findings(logits, given)
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
        findings(logits, labels)
