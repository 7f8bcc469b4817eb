import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchmetrics import Accuracy

from datamodule.inventory import inventory_of
from models.classification import classifier
from models.comparison import Side, compare
from models.head_evaluation import evaluate_heads
from models.heads import Heads, heads_of
from models.inference import Predictions
from models.model_file import read_manifest
from models.prediction_settings import PredictionSettings
from models.prediction_table import fields, headings
from models.rendering import renderer

SIZES = {"digit": 2, "colour": 3}
CLASSES = ["digit=0", "digit=1", "colour=blue", "colour=green", "colour=red"]


def task(**options):
    made = {"metrics": ["Accuracy"], "num_classes": SIZES, "loss": nn.CrossEntropyLoss(), "seed": 0,
            "net": nn.Linear(4, 5), "optimizer": None, "schedule": None}  # fmt: skip
    return classifier(**(made | options))


@pytest.fixture
def said():
    """Logits and targets of 60 images."""
    rng = np.random.default_rng(0)
    target = np.stack([rng.integers(0, 2, 60), 2 + rng.integers(0, 3, 60)], 1)
    logits = rng.normal(size=(60, 5)).astype(np.float32)
    np.put_along_axis(logits, target, np.take_along_axis(logits, target, 1) + 1, 1)
    return logits, target


def test_the_loss_is_the_weighted_sum_of_the_heads_losses_of_classes_and_of_shares(said):
    logits, target = (torch.from_numpy(part) for part in said)
    parts = F.cross_entropy(logits[:, :2], target[:, 0]), F.cross_entropy(logits[:, 2:], target[:, 1] - 2)
    loss = task(head_weights={"colour": 0.25}).loss
    torch.testing.assert_close(loss(logits, target), parts[0] + 0.25 * parts[1])
    shares = F.one_hot(target, 5).sum(1).float()
    torch.testing.assert_close(loss(logits, shares), loss(logits, target))


def test_each_head_has_a_metric_of_its_own(said):
    logits, target = (torch.from_numpy(part) for part in said)
    metrics = task().metrics
    for part in (slice(0, 20), slice(20, 60)):
        metrics.update(logits[part], target[part])
    expected = Accuracy("multiclass", num_classes=3)(logits[:, 2:], target[:, 1] - 2)
    torch.testing.assert_close(metrics.compute()["val/colour/accuracy"], expected)
    metrics.reset()
    metrics.update(logits[:1], target[:1])
    assert metrics.compute()["val/digit/accuracy"] in (0, 1)


def test_balanced_weights_are_each_heads_own():
    examples = torch.tensor([[0, 2], [0, 3], [0, 4], [1, 4]])
    losses = task(class_weights="balanced", examples=examples).loss.losses
    torch.testing.assert_close(losses[0].weight, torch.tensor([2 / 3, 2.0]))
    torch.testing.assert_close(losses[1].weight, torch.tensor([4 / 3, 4 / 3, 2 / 3]))
    with pytest.raises(ValueError, match="of several heads each has its own; use balanced"):
        task(class_weights=[1.0, 2.0], examples=examples)


def test_one_number_of_classes_makes_a_plain_classification_that_takes_no_weights_of_heads():
    assert not isinstance(task(num_classes=5), Heads)
    with pytest.raises(ValueError, match="needs several heads: task.num_classes="):
        task(num_classes=5, head_weights={"colour": 1.0})


def test_figures_are_each_heads_and_lead_with_all_of_them_being_right(said):
    logits, target = said
    found = evaluate_heads(logits, target, CLASSES, np.random.default_rng(0), [1.0, 2.0])
    right = np.stack([logits[:, :2].argmax(1) == target[:, 0], logits[:, 2:].argmax(1) == target[:, 1] - 2])
    assert found.scores[0].name == "exact_match" and found["exact_match"].value == pytest.approx(right.all(0).mean())
    assert found["exact_match"].low < right.all(0).mean() < found["exact_match"].high
    assert found["digit/accuracy"].value == pytest.approx(right[0].mean())
    assert found["colour/accuracy"].value == pytest.approx(right[1].mean())
    assert {"digit/ece_calibrated", "colour/ece_calibrated"} <= {score.name for score in found.scores}
    assert [one.name for one in found.classes] == CLASSES


def test_predictions_and_predict_py_tell_the_same_of_each_head(said, model_folder):
    logits, target = said
    manifest = read_manifest(model_folder(task="heads", classes=CLASSES, temperature=[0.5, 2.0]))
    render = renderer(manifest, PredictionSettings(source="x", top_k=2), None, "")
    told = [dict(zip(render.columns, row, strict=True)) for row in render(logits, [])]
    kept = [dict(zip(headings("heads", CLASSES), row, strict=True))
            for row in fields("heads", logits, target, CLASSES, [0.5, 2.0])]  # fmt: skip
    for one, other in zip(told, kept, strict=True):
        shared = one.keys() & other.keys()
        assert {"predicted:digit", "probability:colour"} <= shared and all(one[key] == other[key] for key in shared)
    assert {"label:digit", "p:digit=0", "p:colour=red"} <= kept[0].keys() and "class_2:colour" in told[0]
    assert float(kept[0]["p:digit=0"]) + float(kept[0]["p:digit=1"]) == pytest.approx(1, abs=1e-5)


def test_a_temperature_is_fitted_for_each_head(said):
    logits, target = said
    temperatures = task().temperature(logits, target)
    sharper = task().temperature(logits * [10, 10, 1, 1, 1], target)
    assert sharper[0] == pytest.approx(10 * temperatures[0], rel=1e-2) and sharper[1] == temperatures[1]


def test_heads_divide_the_last_layers_rows():
    assert [head.columns for head in heads_of({"a": 2, "b": 3, "c": 4})] == [slice(0, 2), slice(2, 5), slice(5, 9)]


def test_comparison_is_of_all_heads_and_of_each(said):
    logits, target = said
    inventory = inventory_of("x", {"path": [f"{k:03}" for k in range(60)], "sha256": "", "label": ""}, CLASSES)
    perfect = np.zeros_like(logits)
    np.put_along_axis(perfect, target, 1, 1)
    sides = [Side(name, Predictions(np.arange(60), target, own), inventory) for name, own in
             (("good", perfect), ("noisy", logits))]  # fmt: skip
    lines = compare("heads", *sides)
    assert lines[0].startswith("all heads: good 1.0000 against noisy 0.") and "good is better" in lines[0]
    assert sum(line.startswith("colour: ") for line in lines) == 3
