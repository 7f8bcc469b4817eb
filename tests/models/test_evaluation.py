import numpy as np
import pytest
import torch
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    balanced_accuracy_score,
    f1_score,
    mean_absolute_error,
    precision_recall_fscore_support,
    precision_score,
    r2_score,
    recall_score,
    roc_auc_score,
    root_mean_squared_error,
    top_k_accuracy_score,
)
from torchmetrics.functional.classification import multiclass_calibration_error, multiclass_jaccard_index
from torchmetrics.functional.segmentation import dice_score

from models.calibration import fit_temperature, reliability
from models.evaluation import (
    evaluate_classification,
    evaluate_multilabel,
    evaluate_regression,
    evaluate_segmentation,
)
from models.probabilities import label_probabilities, probabilities
from models.ranking import auc
from models.scores import Evaluation

NAMES = [f"class {number}" for number in range(8)]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def scored(samples=400, classes=8, strength=2.0, seed=1):
    rng = np.random.default_rng(seed)
    labels = rng.choice(classes, size=samples, p=(weight := np.arange(1, classes + 1)) / weight.sum())
    logits = rng.normal(size=(samples, classes))
    logits[np.arange(samples), labels] += strength
    return logits, labels


def test_classification_agrees_with_scikit_learn(rng):
    logits, labels = scored()
    found = evaluate_classification(logits, labels, NAMES, rng, repeats=50)
    predicted, probs = logits.argmax(1), probabilities(logits)
    expected = {
        "accuracy": accuracy_score(labels, predicted),
        "top5_accuracy": top_k_accuracy_score(labels, logits, k=5),
        "balanced_accuracy": balanced_accuracy_score(labels, predicted),
        "precision_macro": precision_score(labels, predicted, average="macro"),
        "f1_macro": f1_score(labels, predicted, average="macro"),
        "auc_macro": roc_auc_score(labels, probs, multi_class="ovr"),
    }
    for name, value in expected.items():
        assert found[name].value == pytest.approx(value, abs=1e-6), name


def test_each_class_agrees_with_scikit_learn(rng):
    logits, labels = scored()
    found = evaluate_classification(logits, labels, NAMES, rng, repeats=50).classes
    precision, recall, f1, support = precision_recall_fscore_support(labels, logits.argmax(1))
    areas = roc_auc_score(np.eye(8)[labels], probabilities(logits), average=None)
    for number, one in enumerate(found):
        values = [one.scores[name].value for name in ("precision", "recall", "f1", "auc")]
        assert values == pytest.approx([precision[number], recall[number], f1[number], areas[number]], abs=1e-6)
        assert (one.name, one.support) == (NAMES[number], support[number])


def test_the_calibration_error_before_and_after_scaling_agrees_with_torchmetrics(rng):
    logits, labels = scored()
    found = evaluate_classification(logits, labels, NAMES, rng, temperature=2.0, repeats=50)
    for name, temperature in (("ece", 1.0), ("ece_calibrated", 2.0)):
        probs = torch.tensor(probabilities(logits, temperature))
        expected = multiclass_calibration_error(probs, torch.tensor(labels), num_classes=8, n_bins=15)
        assert found[name].value == pytest.approx(float(expected), abs=1e-5)


def test_log_probabilities_serve_as_logits():
    logits, labels = scored()
    pair = [
        evaluate_classification(values, labels, NAMES, np.random.default_rng(0), repeats=50)
        for values in (logits, np.log(probabilities(logits)))
    ]
    assert pair[0]["auc_macro"].value == pytest.approx(pair[1]["auc_macro"].value)
    assert pair[0]["ece"].value == pytest.approx(pair[1]["ece"].value)


def test_every_range_holds_its_value_and_is_the_same_for_the_same_generator():
    logits, labels = scored()
    first, second = (
        evaluate_classification(logits, labels, NAMES, np.random.default_rng(3), 1.5, repeats=200) for _ in range(2)
    )
    assert first == second
    assert all(score.interval.low < score.value < score.interval.high for score in first.scores[:6])


def test_a_range_of_all_figures_is_that_of_resampled_images(rng):
    """The shortcut by sums and influences against a plain bootstrap that computes each figure anew."""
    logits, labels = scored(samples=300)
    found = evaluate_classification(logits, labels, NAMES, rng, repeats=2000)
    probs, plain = probabilities(logits), []
    for _ in range(250):
        rows = rng.integers(len(labels), size=len(labels))
        own, guess = labels[rows], logits[rows].argmax(1)
        areas = [auc(probs[rows, k], own == k)[0] for k in np.unique(own)]
        plain.append([np.mean(areas), f1_score(own, guess, average="macro"), recall_score(own, guess, average="macro")])
    for name, (low, high) in zip(
        ("auc_macro", "f1_macro", "balanced_accuracy"), np.quantile(plain, [0.025, 0.975], axis=0).T, strict=True
    ):
        width = high - low
        assert found[name].low == pytest.approx(low, abs=0.2 * width), name
        assert found[name].high == pytest.approx(high, abs=0.2 * width), name


def test_a_class_without_images_is_named_and_left_out(rng):
    logits, labels = scored()
    kept = labels != 2
    found = evaluate_classification(logits[kept], labels[kept], NAMES, rng, repeats=50)
    assert found.missing == ("class 2",)
    assert set(found.classes[2].scores.values()) == {None}
    present = [0, 1, 3, 4, 5, 6, 7]
    guess = logits[kept].argmax(1)
    assert found["f1_macro"].value == pytest.approx(f1_score(labels[kept], guess, average="macro", labels=present))
    assert found["balanced_accuracy"].value == pytest.approx(
        recall_score(labels[kept], guess, average="macro", labels=present)
    )
    assert np.isfinite(found["auc_macro"].value)


def test_a_perfect_score_is_not_called_certain(rng):
    labels = np.arange(40) % 4
    found = evaluate_classification(np.eye(4)[labels] * 9, labels, NAMES[:4], rng)
    for name in ("accuracy", "f1_macro", "auc_macro"):
        assert found[name].high == 1.0
        assert 0.85 < found[name].low < 0.95
    assert found.classes[0].scores["recall"].low == pytest.approx(0.722, abs=0.001)


def test_one_class_alone_leaves_the_area_undefined_by_name(rng):
    logits, _ = scored(samples=20)
    found = evaluate_classification(logits, np.zeros(20, int), NAMES, rng, repeats=50)
    assert found.undefined == ("auc_macro",)
    with pytest.raises(KeyError, match="classification has no 'auc_macro'; it has accuracy"):
        found["auc_macro"]


def test_top_five_is_left_out_where_it_says_nothing(rng):
    logits, labels = scored(classes=5)
    names = [score.name for score in evaluate_classification(logits, labels, NAMES[:5], rng, repeats=20).scores]
    assert "top5_accuracy" not in names


def test_a_constant_model_gains_nothing_from_ties(rng):
    labels = np.arange(80) % 8
    found = evaluate_classification(np.zeros((80, 8)), labels, NAMES, rng, repeats=50)
    assert found["accuracy"].value == pytest.approx(1 / 8)
    assert found["top5_accuracy"].value == pytest.approx(5 / 8)
    assert found["auc_macro"].value == pytest.approx(0.5)


def test_unlabelled_images_are_refused(rng):
    logits, labels = scored(samples=10)
    labels[[3, 7]] = -1
    with pytest.raises(ValueError, match=r"2 labels are no number of the 8 classes, the first is -1 in row 3"):
        evaluate_classification(logits, labels, NAMES, rng)


def test_a_class_count_that_does_not_fit_is_refused(rng):
    logits, labels = scored(samples=10)
    with pytest.raises(ValueError, match=r"10 labels and 7 classes do not fit logits of shape \(10, 8\)"):
        evaluate_classification(logits, labels, NAMES[:7], rng)


def test_nan_is_refused_with_its_row(rng):
    logits, labels = scored(samples=10)
    logits[4, 2] = np.nan
    with pytest.raises(ValueError, match="1 of 10 logits hold NaN or infinity, the first in row 4"):
        evaluate_classification(logits, labels, NAMES, rng)


def test_several_labels_agree_with_scikit_learn(rng):
    logits = rng.normal(size=(300, 8))
    labels = (rng.random((300, 8)) < probabilities(logits) * 3).astype(int)
    found = evaluate_multilabel(logits, labels, NAMES, rng, repeats=100)
    called = logits > 0
    expected = {
        "map": average_precision_score(labels, logits, average="macro"),
        "f1_macro": f1_score(labels, called, average="macro"),
        "f1_micro": f1_score(labels, called, average="micro"),
        "precision_macro": precision_score(labels, called, average="macro"),
        "recall_macro": recall_score(labels, called, average="macro"),
        "auc_macro": roc_auc_score(labels, logits, average="macro"),
        "exact_match": accuracy_score(labels, called),
    }
    assert {name: found[name].value for name in expected} == pytest.approx(expected, abs=1e-6)
    assert found["map"].low < found["map"].value < found["map"].high


def test_labels_of_another_shape_are_refused(rng):
    with pytest.raises(ValueError, match=r"shaped as the logits \(4, 8\); got \(4, 7\)"):
        evaluate_multilabel(np.zeros((4, 8)), np.zeros((4, 7)), NAMES, rng)


def test_regression_agrees_with_scikit_learn(rng):
    target = rng.normal(size=(200, 2)) * [1, 50] + [1e4, 0]
    predicted = target + rng.normal(size=(200, 2)) * [0.5, 10]
    found = evaluate_regression(predicted, target, ["age", "price"], rng, repeats=100)
    assert found["mae"].value == pytest.approx(mean_absolute_error(target, predicted), rel=1e-5)
    assert found["rmse"].value == pytest.approx(root_mean_squared_error(target, predicted), rel=1e-5)
    assert found["r2"].value == pytest.approx(r2_score(target, predicted), rel=1e-5)
    assert found.classes[1].scores["r2"].value == pytest.approx(r2_score(target[:, 1], predicted[:, 1]), rel=1e-5)
    assert found["rmse"].low < found["rmse"].value < found["rmse"].high


def test_the_spread_of_a_constant_target_is_undefined_by_name(rng):
    found = evaluate_regression(rng.normal(size=20), np.ones(20), ["age"], rng, repeats=50)
    assert found.undefined == ("r2",)


def masks(rng):
    target = rng.integers(3, size=(12, 16, 16))
    predicted = np.where(rng.random(target.shape) < 0.7, target, rng.integers(3, size=target.shape))
    counts = [np.bincount(t.ravel() * 3 + p.ravel(), minlength=9) for t, p in zip(target, predicted, strict=True)]
    return target, predicted, np.array(counts).reshape(12, 3, 3)


def test_segmentation_agrees_with_torchmetrics(rng):
    target, predicted, counts = masks(rng)
    found: Evaluation = evaluate_segmentation(counts, ["sky", "road", "car"], rng, repeats=100)
    pair = torch.tensor(predicted), torch.tensor(target)
    jaccard = multiclass_jaccard_index(*pair, num_classes=3, average=None)
    flat = (part.reshape(1, -1) for part in pair)
    dice = dice_score(*flat, num_classes=3, average="none", input_format="index")[0]
    assert [one.scores["iou"].value for one in found.classes] == pytest.approx(jaccard.tolist(), abs=1e-6)
    assert [one.scores["dice"].value for one in found.classes] == pytest.approx(dice.tolist(), abs=1e-6)
    assert found["mean_iou"].value == pytest.approx(float(jaccard.mean()), abs=1e-6)
    assert found["pixel_accuracy"].value == pytest.approx((target == predicted).mean())


def test_a_class_in_no_mask_is_named_and_left_out_of_the_mean(rng):
    _, _, counts = masks(rng)
    padded = np.pad(counts, ((0, 0), (0, 1), (0, 1)))
    found = evaluate_segmentation(padded, ["sky", "road", "car", "moon"], rng, repeats=50)
    assert found.missing == ("moon",)
    assert found["mean_iou"].value == evaluate_segmentation(counts, ["a", "b", "c"], rng, repeats=50)["mean_iou"].value


def test_a_class_in_no_mask_that_is_predicted_has_an_overlap_of_nothing(rng):
    counts = np.pad(masks(rng)[2], ((0, 0), (0, 1), (0, 1)))
    counts[0, 0, 3] = 5
    found = evaluate_segmentation(counts, ["sky", "road", "car", "moon"], rng, repeats=50)
    assert found.missing == ("moon",) and found.classes[3].scores["iou"].value == 0


def test_counts_that_are_not_of_single_images_are_refused(rng):
    with pytest.raises(ValueError, match=r"must be \(images, 3, 3\), got \(3, 3\)"):
        evaluate_segmentation(np.ones((3, 3)), ["a", "b", "c"], rng)


def test_the_range_of_an_accuracy_is_the_binomial_one(rng):
    logits, labels = scored(samples=10_000)
    found = evaluate_classification(logits, labels, NAMES, rng, repeats=2000)["accuracy"]
    reach = 1.96 * np.sqrt(found.value * (1 - found.value) / 10_000)
    assert (found.low, found.high) == pytest.approx((found.value - reach, found.value + reach), abs=0.15 * reach)


def test_labels_calibration_error_is_the_gap_of_each_bin_over_all_labels(rng):
    logits = np.random.default_rng(3).normal(size=(300, 4)) * 2
    labels = (np.random.default_rng(4).random((300, 4)) < label_probabilities(logits, 2.0)).astype(int)
    found = evaluate_multilabel(logits, labels, NAMES[:4], rng, temperature=2.0, repeats=50)
    raw, scaled = (reliability(label_probabilities(logits, t).ravel(), labels.ravel()).ece for t in (1.0, 2.0))
    assert found["ece"].value == pytest.approx(raw, abs=1e-6)
    assert found["ece_calibrated"].value == pytest.approx(scaled, abs=1e-6) and scaled < 0.6 * raw
    assert fit_temperature(logits, labels) == pytest.approx(2.0, rel=0.15)
