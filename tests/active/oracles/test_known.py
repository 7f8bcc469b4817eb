from dataclasses import replace

import pytest

from active.oracles.known import Known
from tests.active.oracles.desks import answers, desk


def test_tells_the_truth(tmp_path):
    made, questions, journal = desk(tmp_path)
    Known().answer(questions, made)
    assert answers(journal) == {0: "cat", 1: "dog", 2: "cat"}


def test_errs_as_often_as_asked_for_and_alike_when_asked_again_after_a_kill(tmp_path):
    made, questions, journal = desk(tmp_path, 150)
    Known(0.3).answer(questions[:50], made)
    Known(0.3).answer(questions, made)
    wrong = [row for row, label in answers(journal).items() if label != made.truth(row)]
    assert 0.2 < len(wrong) / 150 < 0.42
    other, questions, journal = desk(tmp_path / "again", 150)
    Known(0.3).answer(questions, other)
    assert [row for row, label in answers(journal).items() if label != other.truth(row)] == wrong


def test_another_round_draws_other_errors(tmp_path):
    made, questions, _ = desk(tmp_path, 200)
    said = [{one.sha256: Known(0.4)._label(one, replace(made, round=n)) for one in questions} for n in (0, 1)]
    assert said[0] != said[1]


def test_an_image_without_a_label_is_told_with_the_way_out(tmp_path):
    made, questions, _ = desk(tmp_path)
    with pytest.raises(ValueError, match="0.png has no label .* active/oracle=folder or web"):
        Known().answer(questions, replace(made, truth=lambda row: ""))
