import numpy as np
from sklearn.metrics import confusion_matrix

from models.confusion import confusion, hardest, most_confused, most_wrong, normalised


def test_counts_agree_with_scikit_learn():
    rng = np.random.default_rng(0)
    labels, predicted = rng.integers(5, size=200), rng.integers(5, size=200)
    assert (confusion(labels, predicted, 6) == confusion_matrix(labels, predicted, labels=range(6))).all()


def test_shares_sum_to_one_where_a_class_has_images():
    assert normalised(np.array([[3, 1], [0, 0]])).sum(1).tolist() == [1.0, 0.0]


def test_the_most_confused_pair_comes_first():
    counts = np.array([[90, 9, 1], [0, 10, 0], [4, 0, 4]])
    found = most_confused(counts, ["cat", "dog", "fox"])
    assert [(one.true, one.predicted, one.count) for one in found] == [
        ("cat", "dog", 9),
        ("fox", "cat", 4),
        ("cat", "fox", 1),
    ]
    assert found[1].share == 0.5


def test_of_equal_counts_the_larger_share_comes_first():
    found = most_confused(np.array([[98, 2], [2, 1]]), ["large", "small"])
    assert found[0].true == "small"


def test_a_perfect_model_confuses_nothing():
    assert most_confused(np.eye(3, dtype=int), ["a", "b", "c"]) == []


def test_the_hardest_classes_keep_their_order():
    counts = np.diag([5, 5, 5, 5])
    counts[3, 1] = 7
    assert hardest(counts, 2).tolist() == [1, 3]


def test_the_most_confidently_wrong_comes_first_and_the_right_never():
    probs = np.array([[0.6, 0.4], [0.99, 0.01], [0.2, 0.8], [0.3, 0.7]])
    assert most_wrong(probs, np.array([1, 0, 0, 1])).tolist() == [2, 0]
