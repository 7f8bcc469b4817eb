"""What tests of the store share: both databases, small real model files, a served store."""

import hashlib
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from safetensors.numpy import save
from sqlalchemy import create_engine, text

from serving.api.app import create_app
from serving.parts import Parts, assemble
from serving.promotion import Better
from serving.settings import ServingSettings
from serving.sweeps import check_training
from tests.serving.material import SET, VERSION, manifest, weights


def postgres_folder() -> Path | None:
    """Where this machine's Postgres programs lie."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    named = shutil.which("initdb")
    return found[-1].parent if found else Path(named).parent if named else None


@pytest.fixture(scope="session")
def postgres():
    """The URL of a Postgres server of the tests' own; skipped where none is installed.

    Not below pytest's folder, which each start of pytest closes to all users but its own.
    """
    programs = postgres_folder()
    if programs is None:
        pytest.skip("Postgres is not installed")
    folder = Path(tempfile.mkdtemp(prefix="evergreen-postgres-"))
    as_user = []
    if os.geteuid() == 0:  # it refuses to run as root
        as_user = ["runuser", "-u", "postgres", "--"]
        shutil.chown(folder, "postgres")
    data, log = folder / "data", folder / "log"
    quiet = {"check": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": "/"}
    subprocess.run([*as_user, programs / "initdb", "-D", data, "-A", "trust", "-U", "postgres", "-N"], **quiet)
    options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off"
    subprocess.run([*as_user, programs / "pg_ctl", "-D", data, "-l", log, "-w", "-o", options, "start"], **quiet)
    yield f"postgresql://postgres@/postgres?host={folder}"
    subprocess.run([*as_user, programs / "pg_ctl", "-D", data, "-m", "immediate", "stop"], **quiet)
    shutil.rmtree(folder)


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request) -> Iterator[str | None]:
    """None for SQLite; else the URL of an empty Postgres database."""
    if request.param == "sqlite":
        yield None
        return
    server = request.getfixturevalue("postgres")
    name = f"store{time.monotonic_ns()}"
    engine = create_engine(server.replace("postgresql:", "postgresql+psycopg:"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    yield server.replace("/postgres?", f"/{name}?")
    with engine.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    engine.dispose()


def accept(blobs, files) -> None:
    """The verification of tests whose model files are no networks."""


@pytest.fixture
def open_parts(tmp_path):
    """Opens a store; the same root again is the same store."""
    opened: list[Parts] = []

    def build(url=None, rule=None, verify=accept, engine=None, check=check_training, **settings) -> Parts:
        chosen = ServingSettings(root=str(tmp_path / "store"), database=url, local_workers=0, **settings)
        opened.append(assemble(chosen, rule or Better(), VERSION, verify, engine, check))
        return opened[-1]

    yield build
    for parts in opened:
        parts.monitor.close()
        parts.database.close()


@pytest.fixture
def parts(open_parts, database_url) -> Parts:
    """A new store, in each kind of database."""
    return open_parts(database_url)


def put(parts: Parts, content: bytes) -> str:
    sha256 = hashlib.sha256(content).hexdigest()
    parts.store.blobs.put(content, sha256)
    return sha256


@pytest.fixture
def make_package(parts):
    """A package whose files are among the store's blobs; see `packaged`."""
    return lambda *args, **changes: packaged(parts, *args, **changes)


def packaged(parts, accuracy=0.5, seed=0, set_digest=SET, name="main", predictions=None, **changes) -> dict:
    tensors = weights(seed)
    told = None if predictions is None else put(parts, predictions.encode())
    measurement = {"set_digest": set_digest, "split": "test", "images": 100, "figures": {"accuracy": accuracy}}
    package = {
        "name": name,
        "model": put(parts, save(tensors)),
        "manifest": manifest(tensors),
        "measurement": measurement | {"predictions": told},
        "code_version": VERSION,
    }
    return package | changes


@contextmanager
def served(parts: Parts, app: FastAPI | None = None, port: int = 0) -> Iterator[str]:
    """The application on a real socket, in a thread; its address."""
    config = uvicorn.Config(app or create_app(parts), "127.0.0.1", port, log_level="error")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


@pytest.fixture
def api(open_parts, tmp_path):
    """A served store with a client for each role, by the role's name; `parts` is the store."""
    parts = open_parts()
    parts.tokens.first(tmp_path / "store" / "tokens")
    secrets = {
        role: (tmp_path / "store" / "tokens" / role).read_text().strip() for role in ("operator", "worker", "admin")
    }
    secrets["viewer"] = parts.tokens.create("guest", "viewer")
    with served(parts) as address:
        clients = {
            role: httpx.Client(base_url=address, headers=bearer(secret), verify=False, timeout=30)
            for role, secret in secrets.items()
        }
        clients["nobody"] = httpx.Client(base_url=address, verify=False)
        yield Served(parts, address, secrets, clients)
        for client in clients.values():
            client.close()


class Served:
    def __init__(self, parts, address, secrets, clients) -> None:
        self.parts, self.address, self.secrets, self.clients = parts, address, secrets, clients

    def __getitem__(self, role: str) -> httpx.Client:
        return self.clients[role]


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}
