"""The server's answers are those of predict.py, in JSON."""

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from datamodule.preprocessing import Preprocessing
from models.manifest import Manifest
from models.prediction_settings import PredictionSettings
from models.rendering import View, renderer
from serving.answers import Asked, teller

SHAPE = Preprocessing(6, 6, 3, (0.5,) * 3, (0.5,) * 3, crop=1.0)


def manifest(task, classes, temperature=None) -> Manifest:
    return Manifest(
        task=task,
        architecture={},
        classes=classes,
        preprocessing=vars(SHAPE),
        temperature=temperature,
        weights_sha256="",
        parameters=1,
        metrics={},
        data_digest="",
        configuration_digest="",
    )


def told(described, logits, top_k=2, height=6, width=6):
    answers = teller(described, SHAPE)(logits, [Asked(top_k, height, width)] * len(logits))
    return json.loads(json.dumps(answers))


def rows(described, logits, **chosen):
    render = renderer(described, PredictionSettings(source="x", **chosen), SHAPE, "")
    return render(logits, [View("x", 6, 6)] * len(logits))


def logits_of(*shape):
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)


def test_classes_are_ranked_with_calibrated_probabilities():
    described, logits = manifest("classification", ["a", "b", "c"], 2.5), logits_of(4, 3)
    for answer, row in zip(told(described, logits), rows(described, logits, top_k=2), strict=True):
        flat = [field for one in answer["top"] for field in (one["class"], f"{one['probability']:.6f}")]
        assert flat == row


def test_each_head_is_ranked_with_its_own_temperature():
    described, logits = manifest("heads", ["n=0", "n=1", "c=r", "c=g"], [1.5, 0.5]), logits_of(3, 4)
    for answer, row in zip(told(described, logits, 1), rows(described, logits), strict=True):
        flat = [field for head in answer["heads"] for one in head["top"]
                for field in (one["class"], f"{one['probability']:.6f}")]  # fmt: skip
        assert flat == row and [head["head"] for head in answer["heads"]] == ["n", "c"]


def test_labels_say_which_are_given():
    described, logits = manifest("multilabel", ["a", "b", "c"], 1.3), logits_of(5, 3)
    for answer, row in zip(told(described, logits, 3), rows(described, logits, top_k=3), strict=True):
        given = {one["class"] for one in answer["labels"] if one["given"]}
        assert given == set(filter(None, row[0].split("|")))
        assert [one["class"] for one in answer["labels"]] == row[1::2]


def test_values_are_those_of_the_network():
    described, logits = manifest("regression", ["price", "weight"]), logits_of(3, 2)
    for answer, own in zip(told(described, logits), logits, strict=True):
        assert [one["target"] for one in answer["values"]] == ["price", "weight"]
        assert [one["value"] for one in answer["values"]] == pytest.approx(own.tolist())


@pytest.mark.parametrize("classes", [["sky", "tree", "road"], ["cell"]])
def test_a_mask_has_the_size_of_its_image_and_the_class_of_each_pixel(classes):
    described, logits = manifest("segmentation", classes), logits_of(2, len(classes), 6, 6)
    for answer, own in zip(told(described, logits, height=12, width=12), logits, strict=True):
        data = base64.b64decode(answer["mask"].removeprefix("data:image/png;base64,"))
        mask = np.asarray(Image.open(io.BytesIO(data)))
        expected = own.argmax(0) if len(classes) > 1 else own[0] > 0
        assert mask.shape == (12, 12) and (mask[::2, ::2] == expected).all()
        assert sum(one["share"] for one in answer["shares"]) == pytest.approx(1)
        assert len(answer["shares"]) == max(2, len(classes))


def test_another_task_is_refused_by_name():
    with pytest.raises(ValueError, match="no task 'poetry' is served"):
        teller(manifest("poetry", []), SHAPE)
