import threading

import pytest

from active.oracles.sheet import Sheet
from tests.active.oracles.desks import answers, desk


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def laid(tmp_path):
    made, questions, journal = desk(tmp_path)
    clock = Clock()
    sheet = Sheet(60, clock)
    sheet.lay_out(questions, made)
    return sheet, clock, [one.sha256 for one in questions], journal


def test_nobody_gets_an_image_that_another_one_has(laid):
    sheet, _, shas, _ = laid
    assert [sheet.next(name)["image"] for name in ("ann", "bob", "ann", "eve")] == [shas[0], shas[1], shas[0], shas[2]]
    assert sheet.next("dan")["state"] == "out"


def test_a_lease_runs_out_and_then_the_first_answer_counts(laid):
    sheet, clock, shas, journal = laid
    assert sheet.next("ann")["image"] == shas[0]
    assert not sheet.answer("bob", shas[0], "dog")
    clock.now = 61
    assert sheet.next("bob")["image"] == shas[0]
    assert sheet.answer("bob", shas[0], "dog") and not sheet.answer("ann", shas[0], "cat")
    assert answers(journal) == {0: "dog"}


def test_undo_takes_back_ones_own_latest_answer_only(laid):
    sheet, _, shas, journal = laid
    for name in ("ann", "bob"):
        sheet.answer(name, sheet.next(name)["image"], "cat")
    assert sheet.undo("ann") and not sheet.undo("eve")
    assert answers(journal) == {1: "cat"}
    assert sheet.next("bob")["image"] == shas[2] and sheet.next("ann")["image"] == shas[0]


def test_waits_until_all_are_answered_and_a_skip_is_an_answer(laid):
    sheet, _, shas, journal = laid
    waiting = threading.Thread(target=sheet.wait)
    waiting.start()
    for sha, label in zip(shas, ("cat", None, "dog"), strict=True):
        assert waiting.is_alive() and sheet.answer("ann", sha, label)
    waiting.join(10)
    assert not waiting.is_alive() and answers(journal) == {0: "cat", 1: None, 2: "dog"}
    assert sheet.next("ann") == {"state": "training"} and not sheet.undo("ann")


def test_many_labellers_at_once_label_every_image_once(tmp_path):
    made, questions, journal = desk(tmp_path, 60)
    given: list[str] = []
    keep = made.answer
    counted = made.__class__(**{**vars(made), "answer": lambda *one: (given.append(one[0]), keep(*one))[1]})
    sheet = Sheet(60, Clock())
    sheet.lay_out(questions, counted)

    def work(name):
        while (said := sheet.next(name))["state"] == "label":
            sheet.answer(name, said["image"], "cat")

    workers = [threading.Thread(target=work, args=(str(number),)) for number in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert len(given) == len(set(given)) == 60 and len(answers(journal)) == 60


def test_a_label_that_is_no_class_is_refused(laid):
    sheet, _, shas, _ = laid
    with pytest.raises(ValueError, match="'cow' is none of the classes cat, dog"):
        sheet.answer("ann", shas[0], "cow")
