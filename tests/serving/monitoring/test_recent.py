"""Many who ask at once cost one answer, and none is kept for long."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from serving.monitoring import recent as module
from serving.monitoring.recent import Recent


def test_many_who_ask_at_once_get_one_answer():
    made = []

    def make():
        time.sleep(0.05)
        made.append(1)
        return len(made)

    known = Recent(60.0)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda _: known.get("x", make), range(8))) == [1] * 8
    assert known.get("y", make) == 2 and known.get("x", make) == 1


def test_an_answer_that_is_old_is_made_anew_and_a_failure_is_not_kept():
    known = Recent(0.0)
    assert [known.get("x", iter([1, 2]).__next__) for _ in "ab"] == [1, 1]  # each time another iterator's first
    with pytest.raises(LookupError):
        known.get("z", lambda: {}["z"])
    assert known.get("z", lambda: 3) == 3


def test_only_so_many_answers_are_kept(monkeypatch):
    monkeypatch.setattr(module, "MOST", 3)
    known = Recent(60.0)
    for number in range(10):
        known.get(number, lambda: 0)
    assert list(known._known) == [7, 8, 9]
