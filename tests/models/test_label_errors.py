import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict

from datamodule.digits import read_digits
from models.label_errors import confident_joint, findings, likely_wrong, lowest, mislabelling, score_out_of_sample

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
    found = findings(np.log(sure(true)), given)
    np.testing.assert_array_equal(found.flagged, given != true)
    np.testing.assert_array_equal(found.suggested, true)


def test_ranks_are_a_permutation_with_the_lowest_score_first(digits):
    _, given, logits = digits
    found = findings(logits, given)
    np.testing.assert_array_equal(np.sort(found.rank), np.arange(1, len(given) + 1))
    assert (np.diff(found.score[found.order]) >= 0).all() and found.rank[found.order[0]] == 1


def test_a_flag_always_comes_with_another_suggestion_and_agreement_with_none(digits):
    _, given, logits = digits
    found = score_out_of_sample(logits, given)
    assert found.flagged.any() and not (found.flagged & (found.suggested == given)).any()
    assert (found.suggested == given)[(logits.argmax(1) == given) & ~found.flagged].all()


def test_among_equally_unsure_images_those_of_a_common_mislabelling_come_first():
    """A fifth of class 1 is labelled 2, none as 3; the network wavers between 1 and the given label of the last two."""
    true = np.repeat(np.arange(CLASSES), 200)
    given = true.copy()
    given[200:240] = 2
    wavering = np.array([[0.05, 0.45, 0.45, 0.05], [0.05, 0.45, 0.05, 0.45]])
    probs, labels = np.concatenate((sure(true), wavering)), np.concatenate((given, [2, 3]))
    score = findings(np.log(probs), labels).score
    assert score[-2] < score[-1] - 1


def test_mislabelling_is_read_off_the_sure_images():
    true = np.repeat(np.arange(CLASSES), 1000)
    given = np.where(np.random.default_rng(0).random(len(true)) < 0.2, (true + 1) % CLASSES, true)
    shares = mislabelling(sure(true), given)
    assert np.diagonal(shares) == pytest.approx(0.8, abs=0.1)
    assert np.roll(shares, -1, axis=0).diagonal() == pytest.approx(0.2, abs=0.1)
    assert shares[0, 1] < 0.02
    np.testing.assert_allclose(shares.sum(axis=0), 1)


def test_labels_wrong_at_random_are_not_taken_for_a_pattern():
    true = np.repeat(np.arange(10), 400)
    given = flipped(true, 0.2, 10)
    shares = mislabelling(sure(true, 10), given)
    off = shares[~np.eye(10, dtype=bool)]
    assert off.max() / off.min() < 1.5 and off.mean() == pytest.approx(0.2 / 9, rel=0.5)


def test_out_of_sample_finds_flipped_digits_and_suggests_the_right_ones(digits):
    true, given, logits = digits
    wrong = given != true
    found = score_out_of_sample(logits, given)
    assert roc_auc_score(wrong, -found.score) > 0.98
    assert (found.suggested == true)[wrong].mean() > 0.8
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
