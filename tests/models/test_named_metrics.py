import functools

import pytest
import torch
import torchmetrics
from torch import nn

from models.multilabel import Multilabel
from models.named_metrics import named_metrics, snake_case

CLASSES = {"task": "multiclass", "num_classes": 3}


def test_names_become_metrics_of_the_tasks_kind():
    made = named_metrics(["Accuracy", "F1Score", "AUROC"], **CLASSES)
    assert list(made) == ["accuracy", "f1_score", "auroc"]
    probs, target = torch.eye(3)[[0, 1, 1, 2]], torch.tensor([0, 1, 2, 2])
    assert made["accuracy"](probs, target) == 0.75
    assert made["f1_score"](probs, target) == pytest.approx((1 + 2 / 3 + 2 / 3) / 3)


def test_a_dict_names_its_metrics_and_takes_names_makers_and_metrics():
    maker = functools.partial(torchmetrics.Recall, task="multiclass", average="macro")
    made = named_metrics({"a": "Precision", "b": maker, "c": torchmetrics.MeanMetric(), "d": None}, **CLASSES)
    assert list(made) == ["a", "b", "c"] and made["b"].num_classes == 3


def test_metrics_of_values_need_nothing():
    assert named_metrics(["MeanAbsoluteError", "R2Score"])["mean_absolute_error"](torch.ones(2), torch.zeros(2)) == 1


@pytest.mark.parametrize("name", ["F2Score", "functional"])
def test_an_unknown_name_is_answered_with_near_ones(name):
    with pytest.raises(ValueError, match=f"torchmetrics has no {name}; "):
        named_metrics([name], **CLASSES)


@pytest.mark.parametrize(
    ("name", "known", "others"), [("Accuracy", {}, "MeanAbsoluteError"), ("MeanAbsoluteError", CLASSES, "Accuracy")]
)
def test_a_metric_of_another_kind_of_targets_is_refused_with_some_that_fit(name, known, others):
    with pytest.raises(ValueError, match=rf"task\.metrics: {name} does not fit .*, such as {others}"):
        named_metrics([name], **known)


def test_names_are_logged_in_snake_case():
    assert [snake_case(name) for name in ("F1Score", "AUROC", "MeanSquaredError")] == [
        "f1_score",
        "auroc",
        "mean_squared_error",
    ]


def test_one_label_alone_has_the_figures_of_a_yes_or_no():
    task = Multilabel(["AveragePrecision", "F1Score"], 1, nn.BCEWithLogitsLoss(), net=nn.Linear(2, 1), optimizer=None,
                      schedule=None, seed=0)  # fmt: skip
    logits, target = torch.tensor([[2.0], [-1.0], [1.0], [-3.0]]), torch.tensor([[1.0], [1.0], [0.0], [0.0]])
    task.metrics.update(task.prediction(logits), task.truth(target))
    figures = {name: float(value) for name, value in task.metrics.compute().items()}
    assert figures == pytest.approx({"val/average_precision": 5 / 6, "val/f1_score": 0.5})
