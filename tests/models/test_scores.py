import pytest

from models.scores import ClassScores, Evaluation, Score, class_rows, missing_note, rows
from utils.statistics import Interval


def evaluation(missing=()):
    score = Score("accuracy", Interval(0.97, 0.943, 0.985))
    each = ClassScores("cat", 1200, {"recall": Interval(0.5, 0.4, 0.6), "auc": None})
    return Evaluation("classification", 270, (score,), ("auc_macro",), (each,), missing)


def test_a_table_row_is_written_as_people_read_it():
    assert rows(evaluation()) == [
        ("Accuracy", "97.0 %", "94.3 – 98.5 %"),
        ("AUC, macro", "–", "undefined here"),
    ]


def test_figures_in_the_unit_of_the_target_are_no_percentages():
    score = Score("rmse", Interval(12.3456, 11, 13.5))
    assert rows(Evaluation("regression", 9, (score,), (), (), ())) == [("RMSE", "12.35", "11 – 13.5")]


def test_a_class_row_shows_a_dash_for_what_cannot_be_had():
    assert class_rows(evaluation()) == [["class", "support", "Recall", "AUC"], ["cat", "1,200", "50.0 %", "–"]]


def test_missing_classes_are_named_and_many_are_counted():
    assert missing_note(evaluation(("fox",))) == "No image here shows fox: left out of the macro figures."
    many = missing_note(evaluation(tuple(f"c{k}" for k in range(13))))
    assert "c9 and 3 more" in many
    assert missing_note(evaluation()) == ""


def test_an_unknown_figure_is_refused_with_those_there_are():
    with pytest.raises(KeyError, match="no 'f1'; it has accuracy"):
        evaluation()["f1"]
