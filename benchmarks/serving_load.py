"""A load generator that costs little beside what it measures: raw sockets, requests built once, connections kept.

    python -m benchmarks.serving_load PORT SECONDS CLIENTS REQUESTS_FOLDER

A closed loop: each client has one connection and asks again as soon as it is answered. Each file of the folder is a
whole HTTP request. Prints a JSON of latencies in milliseconds, statuses, and the answers that could not be read.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

END_OF_HEAD = b"\r\n\r\n"
BOUNDARY = "evergreen-benchmark"
Told = Callable[["Client", int, bytes], None]  # the client, its status and the body of its answer


@dataclass
class Seen:
    """latencies: (began, ms) of answered requests. failed: connections that ended in the middle of an answer."""

    latencies: list[tuple[float, float]] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    failed: int = 0


def request(path: str, image: bytes, token: str) -> bytes:
    """A multipart upload of one file in the field `image`."""
    part = (f"--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"image\"; filename=\"photo.jpg\"\r\n"
            "Content-Type: image/jpeg\r\n\r\n").encode()  # fmt: skip
    body = part + image + f"\r\n--{BOUNDARY}--\r\n".encode()
    head = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {token}",
            f"Content-Type: multipart/form-data; boundary={BOUNDARY}", f"Content-Length: {len(body)}"]  # fmt: skip
    return "\r\n".join(head).encode() + END_OF_HEAD + body


class Client(asyncio.Protocol):
    """One connection. more: asked before each request, whether there is another one."""

    def __init__(self, requests: Sequence[bytes], first: int, seen: Seen, more: Callable[[], bool], told: Told | None):
        self.requests, self.place, self.seen, self.more, self.told = requests, first, seen, more, told
        self.buffer, self.wanted, self.status, self.began = bytearray(), 0, 0, 0.0
        self.head = b""  # of the last answer, in small letters
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._ask()

    def _ask(self) -> None:
        if not self.more():
            self.transport.close()
            return
        self.place = (self.place + 1) % len(self.requests)
        self.began = time.perf_counter()
        self.transport.write(self.requests[self.place])

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if not self.wanted and not self._read_head():
            return
        if len(self.buffer) >= self.wanted:
            self._answered()

    def _read_head(self) -> bool:
        end = self.buffer.find(END_OF_HEAD)
        if end < 0:
            return False
        self.head = bytes(self.buffer[:end]).lower()
        self.status = int(self.head[9:12])
        length = self.head.partition(b"content-length:")[2].partition(b"\r\n")[0]
        self.wanted = end + len(END_OF_HEAD) + int(length)
        return True

    def _answered(self) -> None:
        self.seen.latencies.append((self.began, 1000 * (time.perf_counter() - self.began)))
        self.seen.statuses[self.status] += 1
        body = bytes(self.buffer[self.buffer.find(END_OF_HEAD) + len(END_OF_HEAD) : self.wanted])
        self.buffer.clear()
        self.wanted = 0
        if self.told is not None:
            self.told(self, self.status, body)
        self._ask()

    def connection_lost(self, error: Exception | None) -> None:
        if self.more() or self.wanted or self.buffer:
            self.seen.failed += 1
        if not self.done.done():
            self.done.set_result(None)


async def load(
    port: int, requests: Sequence[bytes], clients: int, more: Callable[[], bool], told: Told | None = None
) -> Seen:
    """Until `more` says no; then each client waits for its last answer."""
    seen, loop = Seen(), asyncio.get_running_loop()
    made = [
        await loop.create_connection(partial(Client, requests, first, seen, more, told), "127.0.0.1", port)
        for first in range(clients)
    ]
    await asyncio.gather(*(client.done for _, client in made))
    return seen


def for_seconds(seconds: float) -> Callable[[], bool]:
    until = time.perf_counter() + seconds
    return lambda: time.perf_counter() < until


def main(port: str, seconds: str, clients: str, folder: str) -> None:
    requests = [file.read_bytes() for file in sorted(Path(folder).iterdir())]
    began = time.perf_counter()
    seen = asyncio.run(load(int(port), requests, int(clients), for_seconds(float(seconds))))
    told = {
        "seconds": time.perf_counter() - began,
        "cpu_s": time.process_time(),
        "latencies": [round(ms, 3) for _, ms in seen.latencies],
        "statuses": dict(seen.statuses),
        "failed": seen.failed,
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
