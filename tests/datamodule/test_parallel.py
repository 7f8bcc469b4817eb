import threading
import time

import pytest

from datamodule.parallel import cores, spread


def test_answers_come_in_the_items_order():
    def slow_first(item):
        time.sleep(0.02 if item == 0 else 0)
        return item * item

    assert list(spread(slow_first, range(10), "squares", lambda item: 1)) == [item * item for item in range(10)]


@pytest.mark.skipif(cores() < 2, reason="one core has one thread")
def test_works_on_several_threads_at_once():
    meeting = threading.Barrier(2, timeout=10)
    assert len(list(spread(lambda item: meeting.wait(), range(2), "meeting", lambda item: 1))) == 2


def test_an_error_ends_the_work_that_waits():
    started = []

    def fail(item):
        started.append(item)
        time.sleep(0.001)
        raise KeyError(item)

    with pytest.raises(KeyError):
        list(spread(fail, range(10_000), "failing", lambda item: 1))
    assert len(started) < 1000


def test_who_stops_asking_ends_the_work_that_waits():
    started = []

    def work(item):
        started.append(item)
        time.sleep(0.001)

    answers = spread(work, range(2000), "stopping", lambda item: 1)
    next(answers)
    answers.close()
    assert len(started) < 1000


def test_nothing_to_do_is_done():
    assert list(spread(str, [], "nothing", len)) == []


def test_the_bar_shows_a_folders_brackets(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")  # as on a terminal
    assert list(spread(str, range(2), "hashing [/old]", lambda item: 1)) == ["0", "1"]
    assert "hashing [/old]" in capsys.readouterr().err
