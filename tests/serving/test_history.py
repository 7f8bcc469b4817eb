"""The chain of the history: what a look at all lines finds, and what one at the new ones does."""

import pytest
from sqlalchemy import delete, text, update

from serving.history import append
from serving.tables import history


@pytest.fixture
def lines(parts):
    """Changes the history against the rules; five lines are in it, which were looked at."""
    with parts.database.alone() as connection:
        for number in range(5):
            append(connection, "somebody", "deploy", f"change {number}")
    kinds = ("history_update", "history_delete") if parts.database.file else ("history_change ON history",)
    with parts.database.write() as connection:
        for kind in kinds:
            connection.execute(text(f"DROP TRIGGER {kind}"))
    assert parts.deployments.broken(whole=False) is None

    def change(statement) -> None:
        with parts.database.write() as connection:
            connection.execute(statement)

    return change


def test_all_lines_of_the_history_are_looked_at_where_somebody_asks_and_from_then_on(parts, lines):
    lines(update(history).where(history.c.number == 2).values(why="another"))
    assert parts.deployments.broken(whole=False) is None  # it looks at what is new alone, which is why it costs nothing
    assert parts.deployments.broken() == 2 == parts.deployments.broken(whole=False)
    lines(update(history).where(history.c.number == 2).values(why="change 1"))
    assert parts.deployments.broken(whole=False) is None is parts.deployments.broken()


@pytest.mark.parametrize("change", [update(history).values(actor="nobody"), delete(history)], ids=["changed", "gone"])
def test_a_look_at_new_lines_sees_that_the_last_known_one_is_as_it_was(parts, lines, change):
    lines(change.where(history.c.number == 5))
    assert parts.deployments.broken(whole=False) == 5


def test_a_look_at_new_lines_finds_a_new_one_that_does_not_follow(parts, lines):
    with parts.database.alone() as connection:
        append(connection, "somebody", "deploy", "the sixth")
        append(connection, "somebody", "deploy", "the seventh")
    assert parts.deployments.broken(whole=False) is None
    with parts.database.alone() as connection:
        append(connection, "somebody", "deploy", "the eighth")
        append(connection, "somebody", "deploy", "the ninth")
    lines(update(history).where(history.c.number == 8).values(why="another"))
    assert parts.deployments.broken(whole=False) == 8
