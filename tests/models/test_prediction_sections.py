import numpy as np
import pytest
import torch
from torch import nn

from datamodule.digits import Digits
from models.evaluation import evaluate_classification
from models.inference import Predictions
from models.prediction_sections import Judged, of_predictions
from utils.report import Gallery


class Spoken(nn.Module):
    """Every class by how bright the image is: brightness speaks for each (sign 1) or against each (-1)."""

    def __init__(self, sign):
        super().__init__()
        self.features, self.sign = nn.Conv2d(1, 1, 1), sign
        nn.init.ones_(self.features.weight)
        nn.init.constant_(self.features.bias, 10)  # so that no feature is below zero

    def forward(self, image):
        return self.sign * self.features(image).mean((1, 2, 3))[:, None] * torch.arange(1, 11)


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    data = Digits(n_samples=60, cache_dir=str(tmp_path_factory.mktemp("cache")))
    data.prepare()
    return data


@pytest.mark.parametrize(("sign", "has"), [(1, True), (-1, False)])
def test_a_failure_comes_with_what_spoke_for_its_class_where_anything_did(digits, sign, has):
    rows = digits.inventory.rows("test")
    target = digits.target[rows].numpy()
    logits = np.eye(10)[(target + 1) % 10]  # all wrong
    evaluation = evaluate_classification(logits, target, digits.classes, np.random.default_rng(0), 1.0)
    judged = Judged("test", Predictions(rows, target, logits), evaluation, 1.0)
    failures = of_predictions(judged, digits, Spoken(sign).eval())[-1]
    pictures = next(block for block in failures.blocks if isinstance(block, Gallery)).pictures
    assert [picture.beside is not None for picture in pictures] == [has] * len(pictures)
    assert ("Grad-CAM" in failures.note) == has
