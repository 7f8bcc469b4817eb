"""The same application on Ray Serve: replicas in processes of their own, on one machine or many.

Each replica opens the store and follows what is live by itself, as the one process of serving.backend=local does; Ray
routes requests to them and starts them again. No weights are rolled by Ray: a replica that Ray reconfigures would
answer nothing meanwhile.
"""

import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serving.parts import Parts
from serving.server import KEEP_ALIVE, address, hold, start_workers
from serving.settings import ServingSettings
from serving.version import ROOT

if TYPE_CHECKING:
    from fastapi import FastAPI

    from serving.worker import Worker

APP = "evergreen"
OBJECTS_BYTES = 200 * 2**20  # of Ray's shared memory, through which nothing of ours goes
INSTALL = "serving.backend=ray needs Ray Serve: pip install -r requirements-ray.txt"


class Replica:
    """One process that serves all of the application; Ray makes it where it runs.

    settings: of serving.settings.ServingSettings. rule, engine: their nodes in the configuration.
    """

    def __init__(self, settings: dict[str, Any], rule: dict[str, Any], engine: dict[str, Any]) -> None:
        self.settings, self.rule, self.engine = settings, rule, engine

    def __serve_build_asgi_app__(self) -> "FastAPI":
        """Ray Serve asks for it once the replica is where it will stay."""
        from serving.api.app import create_app
        from serving.parts import assemble
        from serving.verification import verify
        from serving.version import code_version
        from utils.build import build

        chosen = ServingSettings(**self.settings)
        return create_app(assemble(chosen, build(self.rule), code_version(), verify, self.engine))


def serve(parts: Parts, rule: dict[str, Any], engine: dict[str, Any], announce: Callable[[str], None]) -> None:
    """Serves until it is stopped. announce: is called with the address when all replicas answer. Raises ValueError."""
    settings = parts.settings
    held = hold(parts.store.root)
    parts.queue.grace()
    port, workers = settings.port or _free_port(settings.host), list["Worker"]()
    try:
        with _replicas(settings, port, rule, engine):
            announce(address(settings, port))
            start_workers(parts, port, workers)
            threading.Event().wait()
    finally:
        for worker in workers:
            worker.abandon()
        held.close()


@contextmanager
def _replicas(settings: ServingSettings, port: int, rule: dict[str, Any], engine: dict[str, Any]) -> Iterator[None]:
    try:
        import ray
        from ray import serve
    except ImportError as error:
        raise ValueError(INSTALL) from error

    _connect(settings)
    _end_on_signals()
    # each image that waits and each page's socket is a request under way
    most = settings.max_waiting + settings.max_sockets
    deployment = serve.deployment(num_replicas=settings.replicas, max_ongoing_requests=most)
    root = str(Path(settings.root).expanduser().absolute())
    bound = deployment(serve.ingress()(Replica)).bind(asdict(settings) | {"root": root}, rule, engine)
    options = {"host": settings.host, "port": port, "keep_alive_timeout_s": KEEP_ALIVE,
               "ssl_certfile": settings.certificate, "ssl_keyfile": settings.private_key}  # fmt: skip
    try:
        serve.start(http_options=options)
        serve.run(bound, name=APP, route_prefix="/")
        yield
    finally:
        serve.delete(APP)
        if settings.ray_address is None:
            serve.shutdown()
        ray.shutdown()


def _connect(settings: ServingSettings) -> None:
    import ray

    path = os.pathsep.join(part for part in (str(ROOT), os.environ.get("PYTHONPATH", "")) if part)
    environment = {"PYTHONPATH": path, "RAY_USAGE_STATS_ENABLED": "0"}
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    os.environ.update(environment)
    if settings.ray_address is None:
        os.environ.setdefault("RAY_AUTH_MODE", "disabled")  # all of it listens on this machine alone
        ray.init(
            "local", num_cpus=settings.replicas, include_dashboard=False, object_store_memory=OBJECTS_BYTES, **quiet
        )
        return
    try:
        ray.init(settings.ray_address, runtime_env={"env_vars": environment}, **quiet)
    except ConnectionError as error:
        raise ValueError(
            f"serving.ray_address={settings.ray_address}: no Ray cluster answers there; start one with "
            "`ray start --head`, or leave the address out"
        ) from error


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def _end_on_signals() -> None:
    """SIGTERM and Ctrl-C unwind from here on, so that replicas end with this process; Ray sets handlers of its own."""
    for kind in (signal.SIGTERM, signal.SIGINT):
        signal.signal(kind, lambda number, frame: sys.exit(0))
