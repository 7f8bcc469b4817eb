"""The one way to Ray: a cluster that is named, or a Ray of this process's own, quiet and without files of its own."""

import importlib
import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from utils.build import ROOT
from utils.loading import python_path

PATIENCE_S = 5.0
SMALL = {"object_store_memory": 200 * 2**20}  # where orders and figures alone go through Ray's shared memory
ALWAYS = {"RAY_USAGE_STATS_ENABLED": "0"}
NOTHING: Mapping[str, Any] = {}
NOT_SENT = ["/data/", "/logs/", "/store/", "/.*/", "__pycache__/", "/tests/", "/docs/", "/benchmarks/"]


class Terminated(SystemExit):
    """SIGTERM came while this process held Ray."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.number = number


@contextmanager
def connected(
    address: str | None,
    key: str,
    *,
    own: Mapping[str, Any] = SMALL,
    sends_code: bool = False,
    token: bool = False,
    environment: Mapping[str, str] = NOTHING,
) -> Iterator[None]:
    """What this process has already; else the cluster at the address, or without one Ray on this machine alone.

    key: where the address was given. own: further arguments of `ray.init` for a Ray that is started here. sends_code:
    to a cluster whose machines need not see this folder. token: let Ray write one for its own processes. environment:
    of this process and all workers. Raises ValueError where no cluster answers, Terminated after SIGTERM.
    """
    import ray

    everywhere = {**ALWAYS, **environment}
    os.environ.update(everywhere)
    if ray.is_initialized():
        yield
        return
    former = signal.getsignal(signal.SIGTERM)
    if not address:
        _start(token, own)
    else:
        _join(address, key, sends_code, everywhere)
    asked = list[int]()
    _on_sigterm(partial(_unwind, asked))  # Ray's own handler would end with status 15
    try:
        yield
    except SystemExit:
        if asked:  # in Ray's own calls a handler's status becomes 1
            raise Terminated(asked[0]) from None
        raise
    finally:
        ray.shutdown()
        _on_sigterm(former)


def _quiet() -> dict[str, Any]:
    return {"log_to_driver": False, "logging_level": logging.ERROR}


def _start(token: bool, own: Mapping[str, Any]) -> None:
    """On this machine alone, not on whatever cluster runs here by chance."""
    import ray

    os.environ["PYTHONPATH"] = python_path()  # its workers inherit it
    if not token:
        os.environ.setdefault("RAY_AUTH_MODE", "disabled")  # all of it listens on this machine alone
    os.environ.setdefault("RAY_prestart_worker_first_driver", "0")  # a process per core, which no search has a use for
    with _by_itself():
        ray.init("local", include_dashboard=False, **_quiet(), **own)


@contextmanager
def _by_itself() -> Iterator[None]:
    """Neither the process that asks a cloud for machines, whose end takes a second, nor the one that reads logs.

    `ray.init` does not hand these two on to the one who starts them.
    """
    parameter: Any = importlib.import_module("ray._private.parameter")
    former = parameter.RayParams
    parameter.RayParams = partial(former, no_monitor=True, include_log_monitor=False)
    try:
        yield
    finally:
        parameter.RayParams = former


def _join(address: str, key: str, sends_code: bool, environment: Mapping[str, str]) -> None:
    import ray

    refuse_silence(address, key)
    code = {"working_dir": str(ROOT), "excludes": NOT_SENT} if sends_code else {}
    path = {} if sends_code else {"PYTHONPATH": python_path()}
    try:
        ray.init(address, runtime_env={"env_vars": {**environment, **path}, **code}, **_quiet())
    except ConnectionError as error:
        raise ValueError(_unanswered(address, key, "")) from error


def refuse_silence(address: str, key: str) -> None:
    """Raises ValueError at once where nobody listens; Ray itself would ask for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not port.isdigit():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), PATIENCE_S).close()
    except OSError as error:
        raise ValueError(_unanswered(address, key, f" ({error.strerror or error})")) from error


def _unanswered(address: str, key: str, why: str) -> str:
    return (
        f"{key}={address}: no Ray cluster answers there{why}; start one with `ray start --head`, "
        "or leave the address out"
    )


def _on_sigterm(handler: Any) -> None:
    if threading.current_thread() is threading.main_thread():  # no other one may set handlers
        signal.signal(signal.SIGTERM, handler)


def _unwind(asked: list[int], number: int, frame: object) -> None:
    asked.append(number)
    raise Terminated(number)
