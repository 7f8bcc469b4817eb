import numpy as np

from models.mask_pictures import MOST_NAMED, legend, painted
from models.prediction_table import fields, headings


def test_each_task_has_as_many_fields_as_headings():
    two, one = np.array([[2.0, -2.0], [-1.0, 5.0]]), np.array([[1.0, 0.0], [1.0, 1.0]])
    cases = {"classification": (two, np.array([0, 1])), "multilabel": (two, one), "regression": (two, one)}
    told = {task: list(fields(task, *case, ["a", "b"])) for task, case in cases.items()}
    assert all(len(row) == len(headings(task, ["a", "b"])) for task, rows in told.items() for row in rows)
    assert told["classification"][0][:2] == ["a", "a"] and told["multilabel"][1][:2] == ["a|b", "b"]
    assert told["regression"][1] == ["1", "1", "-1", "5"]


def test_a_masks_row_gives_its_right_pixels_and_each_classs_iou():
    counts = np.array([[[3, 1, 0], [0, 4, 0], [0, 0, 0]]])
    assert list(fields("segmentation", counts, counts.sum(2), ["a", "b", "c"])) == [
        ["0.875000", "0.750000", "0.800000", ""]
    ]
    assert headings("segmentation", ["a", "b", "c"]) == ["right", "iou:a", "iou:b", "iou:c"]


def test_a_mask_colours_its_classes_and_lets_the_first_and_ignored_pixels_through():
    picture = painted(np.full((1, 4, 1), 0.5), np.array([[0, 255, 1, 2]]))
    assert picture.shape == (1, 4, 3) and (picture[0, :2] == 128).all() and (picture[0, 2] != picture[0, 3]).any()


def test_colours_are_named_as_long_as_words_tell_them_apart():
    assert legend(["ground", "disc", "square"]) == "ground has no colour, disc is azure, square is lime."
    told = legend([f"{number}" for number in range(MOST_NAMED)]).rstrip(".").split(", ")[1:]
    assert len({line.split(" is ")[1] for line in told}) == len(told) == MOST_NAMED - 1
    assert legend([f"{number}" for number in range(MOST_NAMED + 1)]) == "0 has no colour."


def test_probabilities_are_scaled_by_the_temperature():
    logits, target = np.array([[2.0, 0.0]]), np.array([0])
    [[*_, raw, _, _]], [[*_, scaled, _, _]] = (
        fields("classification", logits, target, ["a", "b"], t) for t in (None, 2.0)
    )
    assert float(raw) == 0.880797 and float(scaled) == 0.731059
    [[*_, label, _]] = fields("multilabel", logits, np.array([[1, 0]]), ["a", "b"], 2.0)
    assert float(label) == 0.731059
