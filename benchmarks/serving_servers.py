"""A server under test: started on its own core, asked by the load generator, watched with all its processes."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil

from benchmarks.measure import tree_s

PROJECT = Path(__file__).resolve().parent.parent
CLIENT_CORE, SERVER_CORE = 0, 1
PATIENCE_S, IDLE_S, WARM_S = 300.0, 3.0, 1.0
MIB = 2**20


@dataclass(frozen=True)
class Server:
    """A running one, and what its start took: CPU-seconds until it answered, MiB while idle."""

    process: "subprocess.Popen[bytes]"
    port: int
    start_cpu_s: float
    rss_mib: float
    pss_mib: float


@dataclass(frozen=True)
class Run:
    """One server under load for a while."""

    rps: float
    cpu_ms: float  # of a request
    p50_ms: float
    p99_ms: float
    failures: int


@contextmanager
def running(command: list[str], port: int, ask: bytes, log: Path) -> Iterator[Server]:
    """Started on its core, until it has answered an image; the whole tree is ended afterwards."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(PROJECT)}
    pinned = ["taskset", "-c", str(SERVER_CORE), *command]
    with log.open("w") as said:
        process = subprocess.Popen(pinned, cwd=PROJECT, env=environment, stdout=said, stderr=said)
    try:
        _await_answer(process, port, ask)
        taken = tree_s(process.pid)
        time.sleep(IDLE_S)
        memory = [one.memory_full_info() for one in _tree(process.pid)]
        rss, pss = sum(one.rss for one in memory) / MIB, sum(one.pss for one in memory) / MIB
        yield Server(process, port, taken, rss, pss)
    finally:
        for one in _tree(process.pid):
            one.kill()
        process.wait()


def _tree(pid: int) -> list[psutil.Process]:
    root = psutil.Process(pid)
    return [*root.children(recursive=True), root]


def _await_answer(process: "subprocess.Popen[bytes]", port: int, ask: bytes) -> None:
    head, _, body = ask.partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().splitlines()[1:])
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until and process.poll() is None:
        try:
            if httpx.post(f"http://127.0.0.1:{port}/predict", content=body, headers=headers).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise RuntimeError(f"the server on port {port} did not answer: see its log in the work folder")


def measured(server: Server, seconds: float, clients: int, requests: Path) -> Run:
    """Its answers to so many clients, after a moment of warming up."""
    _load(server.port, WARM_S, clients, requests)
    before = tree_s(server.process.pid)
    told = _load(server.port, seconds, clients, requests)
    taken, latencies = tree_s(server.process.pid) - before, told["latencies"]
    p50, p99 = np.quantile(latencies, (0.5, 0.99)).tolist()
    good = told["statuses"].get("200", 0)
    return Run(good / told["seconds"], 1000 * taken / len(latencies), p50, p99, len(latencies) - good + told["failed"])


def _load(port: int, seconds: float, clients: int, requests: Path) -> dict[str, Any]:
    line = ["taskset", "-c", str(CLIENT_CORE), sys.executable, "-m", "benchmarks.serving_load", str(port), str(seconds),
            str(clients), str(requests)]  # fmt: skip
    return dict(json.loads(subprocess.run(line, cwd=PROJECT, capture_output=True, text=True, check=True).stdout))
