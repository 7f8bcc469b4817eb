"""The same application on Ray Serve: replicas in processes of their own, on one machine or many.

Each replica opens the store and follows what is live by itself, as the one process of serving.backend=local does; Ray
routes requests to them and starts them again. No weights are rolled by Ray: a replica that Ray reconfigures would
answer nothing meanwhile.
"""

import asyncio
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from serving.parts import Parts
from serving.retention import retain
from serving.server import KEEP_ALIVE, address, hold, start_workers
from serving.settings import ServingSettings
from serving.sweeps import Check
from utils.ray_session import SMALL, connected

if TYPE_CHECKING:
    from fastapi import FastAPI

    from serving.worker import Worker

APP = "evergreen"
INSTALL = "serving.backend=ray needs Ray Serve: pip install -r requirements-ray.txt"


class Replica:
    """One process that serves all of the application; Ray makes it where it runs.

    settings: of serving.settings.ServingSettings. rule, engine: their nodes in the configuration.
    """

    def __init__(self, settings: dict[str, Any], rule: dict[str, Any], engine: dict[str, Any], check: Check) -> None:
        self.settings, self.rule, self.engine, self.check = settings, rule, engine, check

    def __serve_build_asgi_app__(self) -> "FastAPI":
        """Ray Serve asks for it once the replica is where it will stay."""
        from serving.api.app import create_app
        from serving.parts import assemble
        from serving.verification import verify
        from serving.version import code_version
        from utils.build import build

        chosen = ServingSettings(**self.settings)
        rule = build(self.rule)
        return create_app(assemble(chosen, rule, code_version(), verify, self.engine, self.check))


def serve(parts: Parts, rule: dict[str, Any], engine: dict[str, Any], announce: Callable[[str], None]) -> None:
    """Serves until it is stopped. announce: is called with the address when all replicas answer. Raises ValueError."""
    settings = parts.settings
    held = hold(parts.store.root)
    port, workers = settings.port or _free_port(settings.host), list["Worker"]()
    try:
        with _replicas(settings, port, rule, engine, parts.submission.check):
            announce(address(settings, port))
            start_workers(parts, port, workers)
            asyncio.run(retain(parts.store, settings))
            threading.Event().wait()
    finally:
        for worker in workers:
            worker.abandon()
        held.close()


@contextmanager
def _replicas(
    settings: ServingSettings, port: int, rule: dict[str, Any], engine: dict[str, Any], check: Check
) -> Iterator[None]:
    try:
        from ray import serve
    except ImportError as error:
        raise ValueError(INSTALL) from error

    address, own = settings.ray_address, {"num_cpus": settings.replicas, **SMALL}
    # each image that waits and each page's socket is a request under way
    most = settings.max_waiting + settings.max_sockets
    deployment = serve.deployment(num_replicas=settings.replicas, max_ongoing_requests=most)
    bound = deployment(serve.ingress()(Replica)).bind(of_replica(settings), rule, engine, check)
    options = {"host": settings.host, "port": port, "keep_alive_timeout_s": KEEP_ALIVE,
               "ssl_certfile": settings.certificate, "ssl_keyfile": settings.private_key}  # fmt: skip
    with connected(address, "serving.ray_address", own=own):
        _end_on_signals()
        try:
            serve.start(http_options=options)
            serve.run(bound, name=APP, route_prefix="/")
            yield
        finally:
            serve.delete(APP)
            if address is None:
                serve.shutdown()


def of_replica(settings: ServingSettings) -> dict[str, Any]:
    """The settings of each replica: the place is absolute, and files of old models are given up by this process."""
    return asdict(settings) | {"root": str(settings.folder), "prune_hours": None}


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def _end_on_signals() -> None:
    """SIGTERM and Ctrl-C unwind from here on, so that replicas end with this process; Ray sets handlers of its own."""
    for kind in (signal.SIGTERM, signal.SIGINT):
        signal.signal(kind, lambda number, frame: sys.exit(0))
