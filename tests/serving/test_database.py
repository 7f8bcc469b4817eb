"""The schema on both databases, and what a transaction promises."""

import socket
import sqlite3
import subprocess
import sys

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.exc import DBAPIError

from serving import database as module
from serving import tables
from serving.database import FILE, NEWEST, WAL_IS_SOUND, Database, has_schema, version
from serving.history import append, broken
from serving.version import ROOT

ENDPOINT = {"name": "main", "generation": 0, "frozen": False}


@pytest.fixture
def database(database_url, tmp_path):
    opened = Database(tmp_path, database_url)
    yield opened
    opened.close()


def test_the_migrations_lead_to_the_tables(database):
    with database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), tables.metadata) == []


def test_a_store_of_an_older_schema_is_brought_on_with_what_it_holds(database_url, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "NEWEST", "0001")
    older = Database(tmp_path, database_url)
    with older.write() as connection:
        connection.execute(text("INSERT INTO endpoint (name, generation, frozen) VALUES ('main', 7, FALSE)"))
    older.close()
    monkeypatch.undo()
    newer = Database(tmp_path, database_url)
    assert version(newer.engine) == NEWEST
    with newer.read() as connection:
        row = connection.execute(select(tables.endpoint)).one()
    assert (row.name, row.generation, row.shadow_id, row.canary_share) == ("main", 7, None, None)
    newer.close()


def test_a_store_of_a_newer_schema_is_refused(database, database_url, tmp_path):
    with database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ValueError, match=f"the store has schema 9999, this code knows up to {NEWEST}"):
        Database(tmp_path, database_url)


OPEN = """
import sys
from pathlib import Path
from alembic import command
from serving.database import Database
input()
Database(Path(sys.argv[1]), sys.argv[2] or None).close()
"""


def test_processes_that_make_the_schema_at_once_find_it_made(database_url, tmp_path):
    line = [sys.executable, "-c", OPEN, str(tmp_path), database_url or ""]
    pipes = {"stdin": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": ROOT}
    opening = [subprocess.Popen(line, **pipes) for _ in range(3)]
    for process in opening:
        process.stdin.write("\n")
        process.stdin.flush()
    assert [process.communicate(timeout=60)[1].splitlines()[-1:] for process in opening] == [[], [], []]


def test_opening_again_changes_nothing(database, database_url, tmp_path):
    with database.write() as connection:
        connection.execute(insert(tables.endpoint).values(ENDPOINT))
    again = Database(tmp_path, database_url)
    with again.read() as connection:
        assert connection.execute(select(tables.endpoint.c.name)).scalars().all() == ["main"]
    assert version(again.engine) == version(database.engine) == NEWEST
    again.close()


def test_a_transaction_that_breaks_leaves_nothing(database):
    with pytest.raises(RuntimeError), database.write() as connection:
        connection.execute(insert(tables.endpoint).values(ENDPOINT))
        raise RuntimeError
    with database.read() as connection:
        assert connection.execute(select(tables.endpoint)).all() == []


def test_the_history_can_neither_be_changed_nor_shortened(database):
    with database.alone() as connection:
        append(connection, "somebody", "deploy", "a test")
    for change in (update(tables.history).values(why="nothing"), delete(tables.history)):
        with pytest.raises(DBAPIError, match="append-only"), database.write() as connection:
            connection.execute(change)


def test_a_line_that_was_changed_or_left_out_breaks_the_chain(database):
    with database.alone() as connection:
        for number in range(4):
            append(connection, "somebody", "deploy", f"change {number}")
    with database.read() as connection:
        lines = [dict(row._mapping) for row in connection.execute(select(tables.history))]
    assert broken(lines) is None
    assert broken([lines[0], lines[1] | {"why": "another"}, *lines[2:]]) == 2
    assert broken([lines[0], *lines[2:]]) == 2


def test_sqlite_is_as_safe_as_its_version_allows(tmp_path):
    database = Database(tmp_path)
    with database.engine.connect() as connection:
        mode, synchronous = (
            connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous")
        )
    assert (mode, synchronous) == (("wal", 2) if WAL_IS_SOUND else ("delete", 3))
    assert (sqlite3.sqlite_version_info >= (3, 51, 3)) == WAL_IS_SOUND
    database.close()


@pytest.mark.parametrize("url", ["nonsense", "postgresql://nobody@127.0.0.1:1/none?connect_timeout=2"])
def test_a_database_that_is_not_there_is_named(tmp_path, url):
    with pytest.raises(ValueError, match=r"serving\.database="):
        Database(tmp_path, url)


def test_a_file_that_is_no_database_is_named(tmp_path):
    (tmp_path / FILE).write_bytes(b"nonsense" * 1000)
    for opens in (Database, has_schema):
        with pytest.raises(ValueError, match=f"the store's {tmp_path / FILE} cannot be opened: file is not a database"):
            opens(tmp_path)


def test_a_machine_that_takes_connections_and_says_nothing_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setitem(module.POSTGRES, "connect_timeout", "2")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://somebody@127.0.0.1:{silent.getsockname()[1]}/store?sslmode=disable"
        with pytest.raises(ValueError, match=r"cannot be opened: .*timeout"):
            Database(tmp_path, url)


def test_the_url_says_how_long_it_is_waited_for_postgres(postgres, tmp_path):
    for more, seconds in (("", "5"), ("&connect_timeout=9", "9")):
        opened = Database(tmp_path, postgres + more)
        with opened.engine.connect() as connection:
            said = connection.connection.driver_connection.info.get_parameters()
        opened.close()
        assert said["connect_timeout"] == seconds and said["tcp_user_timeout"] == "30000"
