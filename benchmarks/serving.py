"""This project's server against naive FastAPI, LitServe and Ray Serve: resnet18 at 224 px, JPEG uploads, closed loop.

    python -m benchmarks.serving data/cifar10 --peers PYTHON [--work .serving] [--clients 1 8 32] [--rounds 3]

PYTHON is that of an environment with this project's requirements and litserve==0.2.19. Each server has core 1 for
itself and all its processes, the load generator core 0. All servers are up at once and are asked in turns in each
round; ratios are taken within a round, and their median is told. CPU is that of a server's whole process tree, which
other work on the machine disturbs least. LitServe and Ray Serve compute with the same engine and decode with the same
code as this server; naive is eager float32 and Pillow. Linux alone.
"""

import os
import sys
import time
from argparse import ArgumentParser, Namespace, RawTextHelpFormatter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.serving_load import request
from benchmarks.serving_material import pictures, store
from benchmarks.serving_servers import Run, Server, measured, running
from serving.engines.cache import prepared
from serving.engines.machine import cpu_flags, cpu_name
from serving.engines.openvino import OpenVino
from serving.engines.source import source_of
from serving.preparation import golden_of

FIRST_PORT = 8951
RATES = {1: 5.0, 8: 7.0, 32: 9.0}  # wanted: times the requests a second of naive's, by the number of clients
CPU_OF_LITSERVE, P99_OF_NAIVE, START_CPU_S, IDLE_MIB = 0.8, 0.12, 2.0, 200.0
MOST = 32  # clients, at which CPU and p99 are judged
Rounds = list[dict[tuple[str, int], Run]]


def commands(given: Namespace, model: Path) -> dict[str, Callable[[int], list[str]]]:
    """How each side is started on a port."""
    peer, own = [given.peers, "-m"], [sys.executable, "-m", "serving", f"serving.root={given.work / 'store'}"]
    engine = ["serving.local_workers=0", "engine=openvino", f"engine.type={given.type}"]
    rest = [str(model), given.type]
    made: dict[str, Callable[[int], list[str]]] = {
        "evergreen": lambda port: [*own, *engine, f"serving.port={port}"],
        "naive": lambda port: [*peer, "benchmarks.serving_peers", "naive", str(port), *rest],
        "litserve": lambda port: [*peer, "benchmarks.serving_litserve", str(port), *rest],
        "ray serve": lambda port: [*peer, "benchmarks.serving_peers", "ray", str(port), *rest],
    }
    return {name: command for name, command in made.items() if name in given.sides}


def engine_ms(model: Path, kind: Any, images: int = 16) -> float:
    """CPU of the engine alone for an image of a full batch: what no server can be below."""
    engine, golden = prepared(OpenVino(kind, threads=1), source_of(model)), golden_of(model)
    assert golden is not None
    batch = golden[0][:images]
    engine(batch)
    spent = []
    for _ in range(7):
        began = time.process_time()
        engine(batch)
        spent.append(time.process_time() - began)
    return 1000 * median(spent) / len(batch)


def show(rounds: Rounds, servers: Mapping[str, Server], clients: list[int]) -> None:
    """Medians over the rounds."""
    print(f"\n{'server':12}{'clients':>8}{'rps':>9}{'CPU ms':>9}{'p50 ms':>9}{'p99 ms':>9}{'failed':>8}")
    for size in clients:
        for name in servers:
            runs = [one[name, size] for one in rounds]
            rps, cpu, p50, p99 = (median(getattr(run, key) for run in runs) for key in
                                  ("rps", "cpu_ms", "p50_ms", "p99_ms"))  # fmt: skip
            print(f"{name:12}{size:8}{rps:9.1f}{cpu:9.2f}{p50:9.1f}{p99:9.1f}{sum(run.failures for run in runs):8}")
    print(f"\n{'server':12}{'start, CPU s':>14}{'idle RSS, MiB':>15}{'PSS':>8}")
    for name, one in servers.items():
        print(f"{name:12}{one.start_cpu_s:14.2f}{one.rss_mib:15.0f}{one.pss_mib:8.0f}")


def judge(rounds: Rounds, servers: Mapping[str, Server], clients: list[int]) -> None:
    """Each bar: kept or missed."""
    print()
    for size in clients:
        if "naive" in servers:
            _bar(rounds, "rps", size, "naive", RATES.get(size), at_least=True)
        if "litserve" in servers:
            _bar(rounds, "cpu_ms", size, "litserve", CPU_OF_LITSERVE if size == MOST else None)
        if "naive" in servers:
            _bar(rounds, "p99_ms", size, "naive", P99_OF_NAIVE if size == MOST else None)
    own = servers["evergreen"]
    print(f"start: {own.start_cpu_s:.2f} CPU-s, below {START_CPU_S:g}: {_word(own.start_cpu_s < START_CPU_S)}")
    print(f"idle: {own.pss_mib:.0f} MiB, below {IDLE_MIB:g}: {_word(own.pss_mib < IDLE_MIB)}")


def _bar(rounds: Rounds, key: str, size: int, peer: str, wanted: float | None, at_least: bool = False) -> None:
    ratios = [getattr(one["evergreen", size], key) / getattr(one[peer, size], key) for one in rounds]
    ratio = median(ratios)
    told = f"{key} at {size} clients / {peer}'s: {ratio:.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    if wanted is not None:
        kept = ratio >= wanted if at_least else ratio <= wanted
        told += f", {'at least' if at_least else 'at most'} {wanted:g}: {_word(kept)}"
    print(told)


def _word(kept: bool) -> str:
    return "kept" if kept else "missed"


def arguments() -> Namespace:
    parser = ArgumentParser(description=__doc__, formatter_class=RawTextHelpFormatter)
    parser.add_argument("data", type=Path, help="CIFAR-10 as train/<class>/ and test/<class>/, for the pictures")
    parser.add_argument("--peers", default=sys.executable, help="the Python that LitServe is installed for")
    parser.add_argument("--work", type=Path, default=Path(".serving"), help="where the store and its model stay")
    parser.add_argument("--sides", nargs="+", default=["evergreen", "naive", "litserve", "ray serve"])
    parser.add_argument("--clients", nargs="+", type=int, default=[1, 8, 32])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8.0, help="of each server in each round")
    parser.add_argument("--type", choices=("fp32", "bf16", "int8"), default="bf16", help="what the engine computes in")
    return parser.parse_args()


def written(folder: Path, photos: list[bytes], token: str) -> Path:
    """The requests as files, for the load generator."""
    folder.mkdir(exist_ok=True)
    for number, photo in enumerate(photos):
        (folder / f"{number:02}").write_bytes(request("/predict", photo, token))
    return folder


def compared(given: Namespace, model: Path, requests: Path) -> None:
    """Starts one server after the other, then asks them all in turns."""
    ask, rounds = sorted(requests.iterdir())[0].read_bytes(), []
    with ExitStack() as stack:
        up = {
            name: stack.enter_context(running(command(port), port, ask, given.work / f"{name}.log"))
            for port, (name, command) in enumerate(commands(given, model).items(), FIRST_PORT)
        }
        for number in range(given.rounds):
            rounds.append({(name, size): measured(server, given.seconds, size, requests)
                           for size in given.clients for name, server in up.items()})  # fmt: skip
            print(f"round {number + 1} of {given.rounds}, load {os.getloadavg()[0]:.1f}", flush=True)
    show(rounds, up, given.clients)
    judge(rounds, up, given.clients)


def main() -> None:
    given = arguments()
    given.work = given.work.absolute()
    photos = pictures(given.data)
    model = store(given.work, photos, given.type)
    token = (given.work / "store" / "tokens" / "operator").read_text().strip()
    size = sum(map(len, photos)) / len(photos) / 1000
    print(f"{cpu_name()} ({', '.join(cpu_flags())}), load {os.getloadavg()[0]:.1f}, JPEGs of {size:.0f} kB", flush=True)
    compared(given, model, written(given.work / "requests", photos, token))
    print(f"the engine alone: {engine_ms(model, given.type):.2f} CPU ms an image, load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
