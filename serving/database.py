"""The database of the store: SQLite in a file, or Postgres by URL, with whole transactions and migrations."""

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Table, create_engine, event, insert, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, InterfaceError, NoSuchModuleError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

FILE = "store.sqlite"  # below the root of a store without a database of its own
MIGRATIONS = Path(__file__).parent / "migrations"
NEWEST = "0005"
AWAY = (OperationalError, InterfaceError, PoolTimeout)  # a database that is down, starts again, or is too busy
NO_ANSWER, NO_ROOM = "the database does not answer", "the database's disk is full"
SAID_WITHOUT_ROOM = ("disk is full", "No space left on device")  # by SQLite and by Postgres
ONE_AT_A_TIME = 7_340_021  # names the advisory lock of Postgres
# Of a connection to Postgres where its URL says nothing else: a machine that is gone without a word is noticed.
POSTGRES = {
    "connect_timeout": "5",  # seconds
    "keepalives_idle": "15",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",  # milliseconds for which what was sent may stay unacknowledged
}

# Older versions can corrupt a database in WAL mode when two connections write and checkpoint at once (fixed in 3.51.3).
WAL_IS_SOUND = sqlite3.sqlite_version_info >= (3, 51, 3)


class Database:
    """Connections to one database whose schema is the newest.

    url: "postgresql://…", or None for a SQLite file below `root`. Raises ValueError where it cannot be opened.
    """

    def __init__(self, root: Path, url: str | None = None) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.file = None if url else root / FILE
        self.engine = _engine(url or f"sqlite:///{self.file}")
        try:
            with _reached(root, url):
                migrate(self.engine)
        except ValueError:
            self.close()
            raise

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One consistent view."""
        with self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that is on the disk when the block ends, or has never been."""
        with self.engine.connect().execution_options(writes=True) as connection, connection.begin():
            yield connection

    @contextmanager
    def alone(self) -> Iterator[Connection]:
        """The same while no other such block runs, in any process: for what numbers versions and generations."""
        with self.write() as connection:
            _take_turns(connection)
            yield connection

    def now(self, connection: Connection) -> float:
        """The time of the one clock that all servers of this database go by: Postgres's own, or this process's."""
        if self.file is not None:
            return time.time()
        return float(connection.execute(text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())

    def close(self) -> None:
        self.engine.dispose()


def _take_turns(connection: Connection) -> None:
    """Waits until no other transaction is here, in any process; SQLite has one writer anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SELECT pg_advisory_xact_lock({ONE_AT_A_TIME})"))


def trouble(error: Exception) -> str:
    """What one of AWAY means, in words."""
    cause = str(getattr(error, "orig", error))  # without the statement and what it would have kept
    return NO_ROOM if any(said in cause for said in SAID_WITHOUT_ROOM) else NO_ANSWER


def added(connection: Connection, table: Table, row: dict[str, Any]) -> int:
    """Inserts a row; the number that it got."""
    return int(connection.execute(insert(table).values(**row).returning(table.c.id)).scalar_one())


def _engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise ValueError(f"serving.database={url} is no URL: write postgresql://USER@HOST/NAME") from error
    if parsed.get_backend_name() == "sqlite":
        return _sqlite(url)
    try:
        full = parsed.set(drivername="postgresql+psycopg", query=POSTGRES | dict(parsed.query))
        return create_engine(full, pool_size=8, pool_pre_ping=True)
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        raise ValueError("Postgres needs psycopg: pip install -r requirements-postgres.txt") from error


def _sqlite(url: str) -> Engine:
    engine = create_engine(url, json_serializer=json.dumps)
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _prepare(connection: sqlite3.Connection, _: Any) -> None:
    connection.isolation_level = None  # transactions begin where `_begin` says so
    connection.execute("PRAGMA busy_timeout=30000")
    connection.execute(f"PRAGMA journal_mode={'WAL' if WAL_IS_SOUND else 'DELETE'}")
    connection.execute(f"PRAGMA synchronous={'FULL' if WAL_IS_SOUND else 'EXTRA'}")
    connection.execute("PRAGMA foreign_keys=ON")


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get("writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def migrate(engine: Engine) -> None:
    """Brings the schema to the newest version; alembic is imported only where there is something to do.

    Raises ValueError for the schema of a newer code.
    """
    found = version(engine)
    if found == NEWEST:
        return
    if found is not None and found > NEWEST:
        raise ValueError(f"the store has schema {found}, this code knows up to {NEWEST}: run the code that made it")
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.connect().execution_options(writes=True) as connection, connection.begin():
        _take_turns(connection)  # who comes second finds the work done
        config.attributes["connection"] = connection
        command.upgrade(config, NEWEST)


def version(engine: Engine) -> str | None:
    """The schema's version; None for an empty database."""
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar())


def has_schema(root: Path, url: str | None = None) -> bool:
    """Whether the database of a store is there; nothing is made for it. Raises ValueError where it cannot be opened."""
    if url is None and not (root / FILE).is_file():
        return False
    engine = _engine(url or f"sqlite:///{root / FILE}")
    try:
        with _reached(root, url):
            return version(engine) is not None
    finally:
        engine.dispose()


@contextmanager
def _reached(root: Path, url: str | None) -> Iterator[None]:
    """Raises ValueError where the database cannot be opened, or is none."""
    try:
        yield
    except DatabaseError as error:
        named = f"serving.database={without_password(url)}" if url else f"the store's {root / FILE}"
        raise ValueError(f"{named} cannot be opened: {error.orig}") from error


def without_password(url: str) -> str:
    return make_url(url).render_as_string(hide_password=True)
