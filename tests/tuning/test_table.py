"""A search on a terminal."""

import io

import pytest
from rich.console import Console

from tuning import table
from tuning.study import Study

ERASED = "\x1b[2K"


@pytest.fixture
def terminal(monkeypatch):
    """What is shown on it."""
    shown = io.StringIO()
    monkeypatch.setattr(table, "console", lambda file: Console(file=shown, force_terminal=True, width=100))
    return shown


def test_the_table_makes_room_for_the_last_one_and_stays_where_the_search_is_interrupted(problem, tmp_path, terminal):
    study = Study(problem(), tmp_path / "tune")
    with pytest.raises(KeyboardInterrupt), table.shown() as watch:
        watch(study)
        raise KeyboardInterrupt
    assert "0 of 4 trials" in terminal.getvalue() and not terminal.getvalue().endswith(ERASED)
    with table.shown() as watch:
        watch(study)
    assert terminal.getvalue().endswith(ERASED)
