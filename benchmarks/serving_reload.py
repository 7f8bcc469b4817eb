"""Models that change under load, and bad ones that must not: what clients see of it.

    python -m benchmarks.serving_reload [--deployments 100] [--requests 20000] [--clients 8] [--bad 50] [--work DIR]

A real server, whose clients ask without a pause while models are deployed by hand and rolled back, each verified and
loaded as ever. Each answer's generation, model and hash are compared with the server's history; on one connection the
generation must never go back. A swap lasts from its commit until the new generation answers. Then bad candidates are
sent under the same load: truncated, of another shape, with a NaN, of another hash, of other classes, too large.
"""

import asyncio
import io
import json
import os
import sys
import tempfile
import threading
import time
from argparse import ArgumentParser, RawTextHelpFormatter
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from subprocess import DEVNULL, Popen
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.serving_candidates import SIDE, good, is_refused, putter
from benchmarks.serving_load import Client as Connection
from benchmarks.serving_load import Seen, load, request
from benchmarks.serving_servers import PROJECT
from serving.client import Client
from serving.engines.machine import cpu_name

PORT, MODELS, PATIENCE_S = 8971, 4, 300.0
Answer = tuple[int, int, str]  # generation, model, sha256


@dataclass
class Witness:
    """What each connection was answered, in order."""

    answers: dict[int, list[Answer]] = field(default_factory=lambda: defaultdict(list))
    refused: list[str] = field(default_factory=list)

    def told(self, connection: Connection, status: int, body: bytes) -> None:
        if status != 200:
            self.refused.append(f"{status} {body[:200]!r}")
            return
        told = json.loads(body)
        self.answers[id(connection)].append((told["generation"], told["model"]["id"], told["model"]["sha256"]))

    def contradictions(self, lived: dict[int, Answer]) -> list[str]:
        """Answers that the history knows otherwise, and steps back. lived: what each generation was."""
        wrong = [f"{answer} is not {lived.get(answer[0])}" for own in self.answers.values() for answer in own
                 if lived.get(answer[0]) != answer]  # fmt: skip
        back = [f"{then[0]} then {now[0]}" for own in self.answers.values()
                for then, now in pairwise(own) if now[0] < then[0]]  # fmt: skip
        return wrong + back

    @property
    def count(self) -> int:
        return sum(map(len, self.answers.values()))


def lived(client: Client, name: str = "main") -> dict[int, Answer]:
    """Each generation's model and hash, by the history."""
    lines: list[dict[str, Any]] = client.get("/api/history", limit=200)
    while lines[-1]["number"] > 1:
        lines += client.get("/api/history", limit=200, before=lines[-1]["number"])
    models = {line["to_id"] for line in lines if line["endpoint"] == name and line["to_id"]}
    hashes = {number: client.get(f"/api/models/{number}")["file_sha256"] for number in models}
    return {line["generation"]: (line["generation"], line["to_id"], hashes[line["to_id"]]) for line in lines
            if line["endpoint"] == name and line["generation"] and line["to_id"]}  # fmt: skip


def swap(client: Client, numbers: Sequence[int], turn: int) -> tuple[float, float]:
    """The next deployment or, every other time, a rollback; when it was committed and when it answered."""
    if turn % 2:
        answer = client.post("/api/deployments/main/rollback", {})
    else:
        live = client.get("/api/deployments/main")["model_id"]
        others = [number for number in numbers if number != live]
        answer = client.post("/api/deployments", {"model": others[turn // 2 % len(others)]}, patient=PATIENCE_S)
    committed = time.perf_counter()
    await_live(client, answer["generation"])
    return committed, time.perf_counter()


def await_live(client: Client, generation: int) -> None:
    """Raises TimeoutError."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        served = [one for one in client.get("/api/serving") if one["endpoint"] == "main"]
        if served and served[0]["generation"] == generation:
            return
        time.sleep(0.02)
    raise TimeoutError(f"generation {generation} did not go live within {PATIENCE_S:.0f} s")


def under_load(
    port: int, requests: Sequence[bytes], clients: int, least: int, work: Callable[[], Any]
) -> tuple[Witness, Seen, Any]:
    """Asks until the work is done in a thread beside and so many are answered; what the work answered comes last."""
    witness, found = Witness(), dict[str, Any]()
    thread = threading.Thread(target=lambda: found.update(result=work()), daemon=True)
    thread.start()

    def more() -> bool:
        return thread.is_alive() or witness.count + len(witness.refused) < least

    seen = asyncio.run(load(port, requests, clients, more, witness.told))
    thread.join()
    if "result" not in found:
        raise RuntimeError("what should have been done under load failed: its error stands above")
    return witness, seen, found["result"]


def asked(token: str, count: int = 8) -> list[bytes]:
    """Requests with small JPEGs of noise."""
    rng, made = np.random.default_rng(0), []
    for _ in range(count):
        stream = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8)).save(stream, "JPEG")
        made.append(request("/predict", stream.getvalue(), token))
    return made


@contextmanager
def server(work: Path, port: int) -> Iterator[Client]:
    """`python -m serving` on an empty store."""
    line = [sys.executable, "-m", "serving", f"serving.root={work / 'store'}", f"serving.port={port}",
            "serving.local_workers=0", "engine=openvino", "engine.type=fp32"]  # fmt: skip
    process = Popen(line, cwd=PROJECT, stdout=DEVNULL)
    token = work / "store" / "tokens" / "operator"
    try:
        while not token.is_file() and process.poll() is None:
            time.sleep(0.1)
        client = Client(f"http://127.0.0.1:{port}", token.read_text().strip(), tries=20)
        client.get("/api/models")
        yield client
        client.close()
    finally:
        process.terminate()
        process.wait()


def prepared(client: Client, work: Path) -> tuple[list[int], bytes]:
    """Good models that have all been live once, so that their engines are made; and the weights of one."""
    files = work / "files"
    files.mkdir()
    packages = [good(seed, putter(client, files)) for seed in range(MODELS)]
    numbers = [client.post("/api/models", package, patient=PATIENCE_S)["model"] for package in packages]
    await_live(client, 1)
    for number in numbers[1:]:
        await_live(client, client.post("/api/deployments", {"model": number}, patient=PATIENCE_S)["generation"])
    return numbers, (files / packages[0]["model"]).read_bytes()


def p99(seen: Seen, windows: Sequence[tuple[float, float]], inside: bool) -> float:
    """Of the requests that were under way during one of the windows, or of the others."""
    found = [ms for began, ms in seen.latencies
             if any(began < end and began + ms / 1000 > start for start, end in windows) == inside]  # fmt: skip
    return float(np.quantile(found, 0.99)) if found else float("nan")


def swapped(client: Client, port: int, token: str, numbers: Sequence[int], given: Any) -> bool:
    """Whether nothing failed and nothing disagreed while models changed."""

    def work() -> list[tuple[float, float]]:
        return [swap(client, numbers, turn) for turn in range(given.deployments)]

    witness, seen, windows = under_load(port, asked(token), given.clients, given.requests, work)
    wrong = witness.contradictions(lived(client))
    calm, busy = p99(seen, windows, False), p99(seen, windows, True)
    lasted = 1000 * float(np.median([end - start for start, end in windows]))
    print(f"{given.deployments} deployments and rollbacks during {witness.count:,} requests of {given.clients} clients")
    print(
        f"failed: {len(witness.refused) + seen.failed} {witness.refused[:3]}  contradictions: {len(wrong)} {wrong[:3]}"
    )
    print(f"p99: {busy:.1f} ms during a swap, {calm:.1f} ms otherwise, {busy / calm:.2f} times; at most 2 are wanted")
    print(f"a swap lasts {lasted:.0f} ms (median), load {os.getloadavg()[0]:.1f}", flush=True)
    return not (witness.refused or seen.failed or wrong)


def withstood(client: Client, port: int, token: str, content: bytes, work_folder: Path, given: Any) -> bool:
    """Whether no bad candidate went live, and no request failed meanwhile."""
    put, before = putter(client, work_folder / "files"), client.get("/api/deployments/main")

    def work() -> list[bool]:
        return [is_refused(client, put, content, number) for number in range(given.bad)]

    witness, seen, refused = under_load(port, asked(token), given.clients, 1, work)
    wrong, after = witness.contradictions(lived(client)), client.get("/api/deployments/main")
    told = f"{given.bad} bad candidates during {witness.count:,} requests: {sum(refused)} refused, "
    told += f"live before and after: generation {before['generation']} and {after['generation']}, "
    failed = len(witness.refused) + seen.failed
    print(f"{told}failed requests: {failed}, contradictions: {len(wrong)}", flush=True)
    return all(refused) and before["generation"] == after["generation"] and not (failed or wrong)


def main() -> None:
    parser = ArgumentParser(description=__doc__, formatter_class=RawTextHelpFormatter)
    parser.add_argument("--deployments", type=int, default=100)
    parser.add_argument("--requests", type=int, default=20_000, help="at least so many")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--bad", type=int, default=50)
    given = parser.parse_args()
    print(f"{cpu_name()}, load {os.getloadavg()[0]:.1f}", flush=True)
    with tempfile.TemporaryDirectory(prefix="evergreen-reload-") as folder, server(Path(folder), PORT) as client:
        token = (Path(folder) / "store" / "tokens" / "operator").read_text().strip()
        numbers, content = prepared(client, Path(folder))
        good_ones = swapped(client, PORT, token, numbers, given)
        bad_ones = withstood(client, PORT, token, content, Path(folder), given)
    sys.exit(0 if good_ones and bad_ones else 1)


if __name__ == "__main__":
    main()
