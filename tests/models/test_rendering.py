from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from datamodule.preprocessing import Preprocessing
from models.prediction_settings import PredictionSettings
from models.rendering import UNSEEN, View, below, renderer

SHAPE = Preprocessing(4, 4, 1, (0.5,), (0.5,))


def rendered(task, logits, masks="", classes=("ant", "bee", "cow"), temperature=None, views=None, **chosen):
    manifest = SimpleNamespace(task=task, classes=list(classes), temperature=temperature)
    render = renderer(manifest, PredictionSettings(source="x", **chosen), SHAPE, masks)
    logits = np.asarray(logits, np.float32)
    return list(render.columns), render(logits, views or [View("x", 4, 4)] * len(logits))


def test_the_likeliest_classes_come_first_with_probabilities():
    columns, [fields] = rendered("classification", np.log([[0.2, 0.7, 0.1]]), top_k=2)
    assert columns == ["predicted", "probability", "class_2", "probability_2"]
    assert fields == ["bee", "0.700000", "ant", "0.200000"]


def test_of_equals_the_first_class_wins():
    classes = [str(number) for number in range(100)]
    _, [fields] = rendered("classification", np.ones((1, 100)), classes=classes, top_k=3)
    assert fields == ["0", "0.010000", "1", "0.010000", "2", "0.010000"]


def test_probabilities_are_calibrated_by_the_models_temperature():
    raw, calibrated = (rendered("classification", [[4, 0, 0]], temperature=t)[1][0] for t in (None, 2.0))
    assert float(raw[1]) == pytest.approx(np.exp(4) / (np.exp(4) + 2), abs=1e-6)
    assert float(calibrated[1]) == pytest.approx(np.exp(2) / (np.exp(2) + 2), abs=1e-6)


def test_below_the_threshold_no_class_is_given_but_named_as_rejected():
    columns, rows = rendered("classification", np.log([[0.5, 0.4, 0.1], [0.1, 0.8, 0.1]]), threshold=0.6)
    assert columns == ["predicted", "probability", "rejected"]
    assert rows == [["", "0.500000", "ant"], ["bee", "0.800000", ""]]


def test_several_labels_are_given_at_or_above_the_threshold():
    logits = [[0.0, 2.0, -2.0]]
    columns, [fields] = rendered("multilabel", logits)
    assert columns == ["predicted", "class_1", "probability_1"]
    assert fields == ["ant|bee", "bee", "0.880797"]
    assert rendered("multilabel", logits, threshold=0.9)[1][0][0] == ""
    assert rendered("multilabel", logits, threshold=0.1)[1][0][0] == "ant|bee|cow"


def test_values_keep_every_bit_of_float32():
    columns, [fields] = rendered("regression", [[1 / 3, 1e-9]], classes=("width", "angle"))
    assert columns == ["width", "angle"]
    assert [np.float32(field) for field in fields] == [np.float32(1 / 3), np.float32(1e-9)]
    assert rendered("regression", [[2.5]], classes=())[0] == ["value"]


def test_masks_are_png_files_of_the_images_own_size(tmp_path):
    logits = np.zeros((2, 2, 4, 4))
    logits[:, 1, :2] = 1
    views = [View("a/1.jpg", 8, 8), View("2.jpg", 4, 6)]
    columns, rows = rendered("segmentation", logits, masks=str(tmp_path / "masks"), views=views)
    assert columns == ["mask"] and rows == [[f"{tmp_path}/masks/a/1.jpg.png"], [f"{tmp_path}/masks/2.jpg.png"]]
    large, wide = (np.asarray(Image.open(row[0])) for row in rows)
    assert large.shape == (8, 8) and large[:4].all() and not large[4:].any()
    assert wide.shape == (4, 6) and (wide[:, [0, 5]] == UNSEEN).all() and (wide[:2, 1:5] == 1).all()


@pytest.mark.parametrize("name", ["../../a.jpg", "/a.jpg", "s3://a.jpg", "x/../../a.jpg"])
def test_a_masks_name_cannot_lead_out_of_its_folder(name):
    assert ".." not in below(name) and not below(name).startswith("/") and below(name).endswith("a.jpg")


def test_more_classes_than_there_are_and_unknown_tasks_are_refused():
    with pytest.raises(ValueError, match="top_k=4: the model knows 3 classes"):
        rendered("classification", [[0, 0, 0]], top_k=4)
    with pytest.raises(ValueError, match="knows no task 'juggling'"):
        rendered("juggling", [[0, 0, 0]])
