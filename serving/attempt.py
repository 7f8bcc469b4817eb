"""One attempt at a job on a worker: a subprocess, and a heart that reports and listens while it runs."""

import csv
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import IO, Any

import httpx

from serving.client import Client, why
from serving.tokens import without_tokens
from serving.version import ROOT
from utils.lifetime import die_with

log = logging.getLogger(__name__)

LAST_LINES = 40  # of the output, that tell why a training failed
LONGEST_LINE = 2000
MOST_EVENTS = 500  # in one report
PATIENCE = 30.0  # seconds that a stopped training has to save its state
NOT_TAKEN = (413, 422)  # states of what the server will never take as it is


class Report:
    """What happened since the last report; kept until the server has it."""

    def __init__(self) -> None:
        self._lock, self._events, self._seq = threading.Lock(), list[dict[str, Any]](), 0
        self._most = MOST_EVENTS

    def add(self, kind: str, payload: Any) -> None:
        with self._lock:
            self._seq += 1
            self._events.append({"seq": self._seq, "kind": kind, "payload": payload})

    def waiting(self) -> list[dict[str, Any]]:
        with self._lock:
            return self._events[: self._most]

    def taken(self, events: Sequence[dict[str, Any]]) -> None:
        with self._lock:
            del self._events[: len(events)]
            if events:
                self._most = min(MOST_EVENTS, 2 * self._most)

    def refused(self, events: Sequence[dict[str, Any]]) -> None:
        """Half as many are told next, so that what the server does not take is found; one alone is given up."""
        with self._lock:
            self._most = max(1, len(events) // 2)
            if len(events) == 1:
                del self._events[0]


class Heart:
    """Renews the lease and sends the report, in a thread of its own; hears whether to stop.

    cancelled: a person asked for it. late: the job is no longer this worker's.
    """

    def __init__(self, client: Client, job: dict[str, Any], worker_id: int, beat: float, report: Report) -> None:
        self.client, self.path, self.report, self.beat = client, f"/api/jobs/{job['id']}/progress", report, beat
        self.mine = {"worker": worker_id, "fence": job["fence"]}
        self.cancelled, self.late, self._over = threading.Event(), threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Heart":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(self.beat) and not self.late.is_set():
            self.tell()

    def tell(self) -> None:
        """One report; a server that does not answer is asked again with the next beat.

        Where it does not take the events, the lease is renewed all the same.
        """
        try:
            events = self.report.waiting()
            answer = self._posted(events)
            if answer.status_code in NOT_TAKEN:
                self._refused(events, answer)
                events = []
                answer = self._posted(events)
        except httpx.TransportError:
            return
        if answer.status_code in (404, 409, 401, 403):
            self.late.set()
        elif answer.is_success:
            self.report.taken(events)
            if answer.json()["cancel"]:
                self.cancelled.set()

    def _posted(self, events: Sequence[dict[str, Any]]) -> httpx.Response:
        return self.client.http.post(self.path, json=self.mine | {"events": events})

    def _refused(self, events: Sequence[dict[str, Any]], answer: httpx.Response) -> None:
        self.report.refused(events)
        then = "it is dropped" if len(events) == 1 else "fewer are sent at a time"
        log.warning("%s: the server does not take %d events (%s); %s", self.path, len(events), why(answer), then)


class Process:
    """A command of this checkout whose lines are read as they come; it ends when this process does."""

    def __init__(self, line: Sequence[str], report: Report) -> None:
        self.report, self.last = report, list[str]()
        self._process = subprocess.Popen(
            [sys.executable, *line],
            cwd=ROOT,
            env=without_tokens() | {"PYTHONUNBUFFERED": "1", "COLUMNS": "140"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
            preexec_fn=partial(die_with, os.getpid()),  # a worker that is killed takes its training along
        )
        assert self._process.stdout is not None
        self._reader = threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True)
        self._reader.start()

    def _read(self, stream: IO[str]) -> None:
        with stream:
            for text in stream:
                for part in filter(str.strip, text.rstrip("\n").split("\r")):
                    self.report.add("line", part[:LONGEST_LINE])
                    self.last = [*self.last[-LAST_LINES + 1 :], part[:LONGEST_LINE]]

    def wait(self, seconds: float) -> int | None:
        """The exit status, or None where it still runs."""
        try:
            status = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        self._reader.join(5.0)
        return status

    def stop(self) -> None:
        """Asks it to save and end; ends it where it does not."""
        self._send(signal.SIGTERM)
        if self.wait(PATIENCE) is None:
            self.kill()

    def kill(self) -> None:
        self._send(signal.SIGKILL)
        self.wait(PATIENCE)

    def _send(self, number: int) -> None:
        """To all of its group: workers of its own, too."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)


class Curves:
    """The rows of a run's metrics.csv, each told once when it is there."""

    def __init__(self, folder: Path, report: Report) -> None:
        self.file, self.report, self.told = folder / "metrics.csv", report, 0

    def tell(self) -> None:
        if not self.file.is_file():
            return
        with self.file.open(newline="") as stream:
            rows = list(csv.DictReader(stream))
        for row in rows[self.told :]:
            self.report.add("figures", {key: _number(value) for key, value in row.items() if key and value})
        self.told = max(self.told, len(rows))


def _number(text: str) -> float | None:
    try:
        found = float(text)
    except ValueError:
        return None
    return found if abs(found) < float("inf") else None
