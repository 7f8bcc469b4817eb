"""The server's process: one per store, with its local workers; it tells where it is reached when it is."""

import fcntl
import logging
import shlex
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import uvicorn
from fastapi import FastAPI

from serving.parts import Parts
from serving.settings import ServingSettings

if TYPE_CHECKING:
    from serving.worker import Worker

log = logging.getLogger(__name__)

KEEP_ALIVE = 30  # seconds that an idle connection stays open
LAST_WORDS = 10  # seconds for requests that are under way when it ends
LOCAL = "local"  # the name of its own workers
SAID = 1024  # bytes of what a page may say over its socket, which is nothing


class Announcing(uvicorn.Server):
    """Calls `ready` with the port as soon as it listens. Raises ValueError where it cannot."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[int], None]) -> None:
        super().__init__(config)
        self.ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        except SystemExit as end:  # uvicorn has told why
            if self.lifespan.should_exit:
                raise
            place = f"serving.host={self.config.host} serving.port={self.config.port}"
            raise ValueError(f"{place} cannot be listened at: choose others; port 0 is any free one") from end
        if self.started:
            self.ready(self.servers[0].sockets[0].getsockname()[1])


def serve(parts: Parts, app: FastAPI, announce: Callable[[str], None]) -> None:
    """Serves until it is stopped. announce: is called with the address when it listens."""
    settings = parts.settings
    require_certificate(settings)
    held = hold(parts.store.root)
    workers: list[Worker] = []

    def ready(port: int) -> None:
        announce(address(settings, port))
        threading.Thread(target=start_workers, args=(parts, port, workers), daemon=True).start()

    options: dict[str, Any] = {"ssl_certfile": settings.certificate, "ssl_keyfile": settings.private_key}
    config = uvicorn.Config(
        app,
        settings.host,
        settings.port,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=LAST_WORDS,
        ws_max_size=SAID,
        **options,
    )
    try:
        Announcing(config, ready).run()
    finally:
        for worker in workers:
            worker.abandon()
        held.close()


def require_certificate(settings: ServingSettings) -> None:
    """Raises ValueError where the files of an encrypted server are not there, or do not fit."""
    if settings.certificate is None:
        return
    for key in ("certificate", "private_key"):
        if not Path(getattr(settings, key)).is_file():
            raise ValueError(f"serving.{key}={getattr(settings, key)}: there is no such file")
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(settings.certificate, settings.private_key)
    except ssl.SSLError as error:
        given = f"serving.certificate={settings.certificate} serving.private_key={settings.private_key}"
        raise ValueError(f"{given}: these are no certificate with its key, both as PEM ({error})") from error


def hold(root: Path) -> IO[str]:
    """The store's lock, until it is closed. Raises ValueError where another server holds it."""
    file = (root / "server.lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise ValueError(f"another server serves {root}: stop it, or choose another serving.root") from error
    return file


def address(settings: ServingSettings, port: int) -> str:
    """As a browser on this machine reaches it."""
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host
    shown = f"[{host}]" if ":" in host else host
    return f"http{'s' if settings.encrypted else ''}://{shown}:{port}"


def start_workers(parts: Parts, port: int, workers: "list[Worker]") -> None:
    """The local ones, into `workers`; those of former servers of this store ended with them."""
    if not parts.settings.local_workers:
        return
    from serving.worker import Worker

    settings, root = parts.settings, parts.store.root
    parts.workers.gone(LOCAL)
    for _ in range(settings.local_workers):
        worker = Worker(
            address(settings, port),
            name=LOCAL,
            arguments=shlex.split(settings.worker_arguments),
            logs=str(root / "runs"),
            certificate=settings.certificate,
            token_file=str(root / "tokens" / "worker"),
        )
        workers.append(worker)
        try:
            worker.start()
        except (ValueError, ConnectionError) as error:
            log.error("no local worker: %s", error)
