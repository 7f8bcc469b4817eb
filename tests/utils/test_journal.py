"""What is in the journal stays; what is made, is made once."""

import os
import signal
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context

import pytest

from utils.journal import Journal


@pytest.fixture
def journal(tmp_path):
    made = Journal(tmp_path / "deep" / "journal.sqlite")
    yield made
    made.close()


def test_a_step_is_made_once_and_read_afterwards(journal):
    assert journal.once("query", "1", lambda: {"picks": [3, 4]}) == {"picks": [3, 4]}
    assert journal.once("query", "1", lambda: pytest.fail("made twice")) == {"picks": [3, 4]}
    assert journal.find("query", "2") is None


def test_the_first_record_stays_and_a_replaced_one_keeps_its_place(journal):
    assert journal.record("label", "a", {"label": "cat"}) == {"label": "cat"}
    assert journal.record("label", "a", {"label": "dog"}) == {"label": "cat"}
    journal.record("label", "b", {})
    journal.replace("label", "a", {"label": "dog"})
    assert [(entry.key, entry.facts) for entry in journal.every("label")] == [("a", {"label": "dog"}), ("b", {})]


def test_entries_are_found_by_kind_and_the_keys_beginning(journal):
    for key in ("0001/a", "0001/b", "0010/a", "%"):
        journal.record("label", key, {})
    assert [entry.key for entry in journal.every("label", "0001/")] == ["0001/a", "0001/b"]
    assert [entry.key for entry in journal.every("label", "%")] == ["%"]
    journal.forget("label", "0001/a")
    assert len(journal.every("label")) == 3 and journal.every("other") == []


def test_a_failed_step_leaves_nothing(journal):
    with pytest.raises(ZeroDivisionError):
        journal.once("step", "1", lambda: {"value": 1 / 0})
    assert journal.once("step", "1", lambda: {"value": 1}) == {"value": 1}


def test_threads_share_it(journal):
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: journal.record("label", str(number % 20), {"by": number}), range(100)))
    assert len(journal.every("label")) == 20


def write_until_killed(file, told):
    journal = Journal(file)
    for number in range(10_000):
        journal.record("step", str(number), {"number": number})
        told.send(number)


def test_what_was_recorded_outlives_kill_9(tmp_path):
    here, there = get_context("fork").Pipe()
    process = get_context("fork").Process(target=write_until_killed, args=(tmp_path / "journal.sqlite", there))
    process.start()
    for _ in range(25):
        last = here.recv()
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    journal = Journal(tmp_path / "journal.sqlite")
    kept = [entry.facts["number"] for entry in journal.every("step")]
    assert kept == list(range(len(kept))) and len(kept) > last
    journal.close()


def test_a_foreign_file_is_told_with_the_way_out(tmp_path):
    (tmp_path / "journal.sqlite").write_text("no database, but long enough to be taken for a damaged one" * 20)
    with pytest.raises(ValueError, match="journal.sqlite is no journal .* move it away"):
        Journal(tmp_path / "journal.sqlite")


def test_it_is_on_the_disk_before_the_next_step(journal, tmp_path):
    """synchronous=FULL: a power cut loses nothing that was recorded."""
    assert journal._execute("PRAGMA synchronous") == [(2,)] and journal._execute("PRAGMA journal_mode") == [("wal",)]
    journal.record("step", "1", {})
    with sqlite3.connect(tmp_path / "deep" / "journal.sqlite") as other:
        assert other.execute("SELECT count(*) FROM entry").fetchone() == (1,)
    other.close()
