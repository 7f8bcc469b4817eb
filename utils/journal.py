"""A journal of what was done, in sqlite: each entry is on the disk before the next step begins, and made only once."""

import json
import sqlite3
import weakref
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Any

Facts = dict[str, Any]

SCHEMA = """
CREATE TABLE IF NOT EXISTS entry (
    number INTEGER PRIMARY KEY, kind TEXT NOT NULL, key TEXT NOT NULL, at TEXT NOT NULL, facts TEXT NOT NULL,
    UNIQUE (kind, key)
)"""
ADD = "INSERT INTO entry (kind, key, at, facts) VALUES (?, ?, ?, ?)"


@dataclass(frozen=True)
class Entry:
    """number: grows with time. at: ISO time in UTC."""

    number: int
    kind: str
    key: str
    at: str
    facts: Facts


class Journal:
    """Entries by (kind, key), for one process or several, and for several threads.

    A program that makes each step by `once` can be killed at any moment and started again: steps in the journal are
    read from it, the one that was under way is made again, provided that making it twice gives the same.
    """

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._lock = Lock()
        try:
            self._database = sqlite3.connect(file, timeout=60, isolation_level=None, check_same_thread=False)
            weakref.finalize(self, self._database.close)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=FULL")
            self._database.execute(SCHEMA)
        except sqlite3.DatabaseError as error:
            raise ValueError(f"{file} is no journal ({error}); move it away to start anew") from error

    def close(self) -> None:
        self._database.close()

    def once(self, kind: str, key: str, make: Callable[[], Facts]) -> Facts:
        """The facts of the entry; where there is none yet, what `make` answers, recorded."""
        found = self.find(kind, key)
        return self.record(kind, key, make()) if found is None else found

    def record(self, kind: str, key: str, facts: Facts) -> Facts:
        """Adds an entry and answers its facts; where another process was first, the facts it recorded."""
        self._execute(f"{ADD} ON CONFLICT DO NOTHING", kind, key, _now(), json.dumps(facts))
        found = self.find(kind, key)
        assert found is not None
        return found

    def replace(self, kind: str, key: str, facts: Facts) -> None:
        """Adds an entry, or gives the former one other facts."""
        change = "ON CONFLICT (kind, key) DO UPDATE SET at = excluded.at, facts = excluded.facts"
        self._execute(f"{ADD} {change}", kind, key, _now(), json.dumps(facts))

    def forget(self, kind: str, key: str) -> None:
        """Takes an entry out again."""
        self._execute("DELETE FROM entry WHERE kind = ? AND key = ?", kind, key)

    def find(self, kind: str, key: str) -> Facts | None:
        rows = self._execute("SELECT facts FROM entry WHERE kind = ? AND key = ?", kind, key)
        return dict(json.loads(rows[0][0])) if rows else None

    def every(self, kind: str, prefix: str = "") -> list[Entry]:
        """All entries of a kind whose key begins so, in the order they were made."""
        query = (
            "SELECT number, kind, key, at, facts FROM entry WHERE kind = ? AND substr(key, 1, ?) = ? ORDER BY number"
        )
        rows = self._execute(query, kind, len(prefix), prefix)
        return [Entry(number, kind, key, at, json.loads(facts)) for number, kind, key, at, facts in rows]

    def _execute(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with self._lock, closing(self._database.execute(query, values)) as cursor:
            return cursor.fetchall()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
