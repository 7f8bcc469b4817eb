"""A training worker: python -m serving.worker serving.server=URL; in a notebook Worker(URL).start()."""

import platform
import re
import secrets
import shlex
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import hydra
from omegaconf import DictConfig

from serving.attempt import NOT_TAKEN, Curves, Heart, Process, Report
from serving.client import Client, Refused, token_from
from serving.delivery import package_of
from serving.evaluation import fetched, measurement_of
from serving.jobs import LONGEST_ERROR, Late
from serving.settings import WorkerSettings
from serving.sweeps import allowed
from serving.version import code_version
from utils.build import settings
from utils.configuration import command, plain
from utils.files import write_whole
from utils.log import to_terminal

LONGEST_BEAT = 1.0  # seconds between two reports
NOT_FOUND, ITS_OWN = 404, 500  # the last and all above: a mistake of the server
PAUSE = 15.0  # seconds before a server that made a mistake is asked again
PAUSES = [min(2.0**tried, 60.0) for tried in range(64)]  # the same where a job's end was brought: an hour in all
TRAINED = "trained"  # in a run's folder: whose job's it is, until the server finds fault with the model
DECISION = 600.0  # seconds in which a server verifies and decides
LOST = "it is no longer this worker's"
PACK = "+callback.package._target_=serving.packing.Pack"


class Worker:
    """Takes jobs from a server and trains them, one at a time, each as `python train.py` in a process of its own.

    arguments: overrides that all of its jobs begin with, such as datamodule=folder datamodule.root=DIR; a job's own
    come after them. token: from the environment or a file if None. All state is the server's: a worker may vanish.
    """

    def __init__(
        self,
        server: str,
        token: str | None = None,
        name: str | None = None,
        arguments: Sequence[str] = (),
        logs: str = "logs",
        poll_seconds: float = 1.0,
        keep_runs: bool = True,
        certificate: str | None = None,
        token_file: str | None = None,
    ) -> None:
        self.chosen = WorkerSettings(server, name, token_file, certificate, logs, "", poll_seconds, keep_runs)
        self.arguments = list(arguments)
        self._over = threading.Event()
        self.client = Client(server, token or token_from(token_file), certificate, tries=None, over=self._over)
        self.name, self.number, self.beat = "", 0, LONGEST_BEAT
        self._thread = threading.Thread(target=self._in_background, daemon=True, name="worker")

    def start(self) -> "Worker":
        """Joins and works in the background. Raises ValueError where the server refuses, as another version's."""
        self.join_server()
        self._thread.start()
        return self

    def stop(self) -> None:
        """Gives the job it has back to the queue and ends."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def abandon(self) -> None:
        """Ends without a word, for a server that is going: the job is another attempt when it is back."""
        self._over.set()

    def run(self) -> None:
        """Joins and works until it is stopped."""
        self.join_server()
        self._serve()
        self.client.close()

    def join_server(self) -> None:
        try:
            self._join()
        except (Late, Refused) as error:
            raise ValueError(f"{self.chosen.server} does not take this worker: {error}") from error

    def _join(self) -> None:
        asked = {"name": self.chosen.name or _own_name(), "version": code_version(), "machine": _machine()}
        joined = self.client.post("/api/workers", asked | {"declared": declared(self.arguments)})
        self.name, self.number = joined["name"], joined["id"]
        self.beat = min(LONGEST_BEAT, joined["lease_seconds"] / 6)
        print(f"worker {self.name} has joined {self.chosen.server}", flush=True)

    def _in_background(self) -> None:
        """Nobody hears of what a thread raises: the end is told in a line."""
        try:
            self._serve()
        except (ValueError, ConnectionError) as error:
            if not self._over.is_set():
                print(f"worker {self.name} ends: {error}", flush=True)
        finally:
            self.client.close()

    def _serve(self) -> None:
        while not self._over.is_set():
            job = self._claimed()
            if job is None:
                self._over.wait(self.chosen.poll_seconds)
            else:
                self._attempt(job)

    def _claimed(self) -> dict[str, Any] | None:
        """The next job; None where there is none yet, or the server made a mistake.

        Raises Refused for a token that is not taken any more.
        """
        try:
            return self._next()
        except Refused as error:
            if error.status < ITS_OWN:
                raise
            print(f"worker {self.name} asks again in {PAUSE:g} s, the server answered: {error}", flush=True)
            self._over.wait(PAUSE)
            return None

    def _next(self) -> dict[str, Any] | None:
        """The next job; None where there is none. A server that lost this worker in a restore is joined again."""
        try:
            found: dict[str, Any] | None = self.client.post(f"/api/workers/{self.number}/claim")
        except Refused as error:
            if error.status != NOT_FOUND:
                raise
            self._join()
            return None
        return found

    def _attempt(self, job: dict[str, Any]) -> None:
        """A job from its claim to its end, however it ends."""
        report = Report()
        with Heart(self.client, job, self.number, self.beat, report) as heart:
            try:
                self._worked(job, heart, report)
            except Late as error:
                print(f"job {job['id']}: {error}", flush=True)
            except (Refused, OSError, ValueError) as error:
                with suppress(Late, ConnectionError, Refused):  # lost meanwhile, or this worker ends; a claim will tell
                    if isinstance(error, ConnectionError):  # it was asked for until this worker was stopped
                        self._end(job, "release")
                    else:
                        self._fail(job, f"{type(error).__name__}: {error}")

    def _worked(self, job: dict[str, Any], heart: Heart, report: Report) -> None:
        if job["kind"] == "evaluate":
            self._measured(job, heart, report)
            return
        print(f"job {job['id']}: {' '.join(job['overrides'])}", flush=True)
        folder = self._trained(job)
        if folder is None:
            folder = self._folder("job", job)
            if not self._ran(self._line(job, folder), folder, job, heart, report):
                return
            write_whole(folder / TRAINED, _identity(job))
        else:
            Curves(folder, report).tell()
            heart.tell()
        if self._modelled(job, folder, heart) and not self.chosen.keep_runs:
            shutil.rmtree(folder)

    def _trained(self, job: dict[str, Any]) -> Path | None:
        """The run of an earlier attempt here, whose model did not reach the server."""
        found = self._folder("job", job).parent.glob(f"job-{job['id']}-*/{TRAINED}")
        return next((file.parent for file in found if file.read_text() == _identity(job)), None)

    def _folder(self, kind: str, job: dict[str, Any]) -> Path:
        """Of one attempt."""
        return Path(self.chosen.logs).expanduser().absolute() / "jobs" / f"{kind}-{job['id']}-{job['fence']}"

    def _line(self, job: dict[str, Any], folder: Path) -> list[str]:
        places = [f"logs={folder.parent.parent}", f"experiment_name={folder.parent.name}", f"run_name={folder.name}"]
        return ["train.py", *self.arguments, *job["overrides"], *places, "force=true", PACK]

    def _ran(self, line: list[str], folder: Path, job: dict[str, Any], heart: Heart, report: Report) -> bool:
        """Whether a command came to its good end; otherwise the server knows why."""
        process, curves = Process(line, report), Curves(folder, report)
        while (status := process.wait(self.beat / 2)) is None:
            curves.tell()
            if heart.late.is_set():
                process.kill()
                raise Late(LOST)
            if how := self._ending(heart):
                process.stop()
                self._end(job, how)
                return False
        curves.tell()
        heart.tell()
        if status != 0:
            last = "\n".join(process.last)
            self._fail(job, f"the command ended with status {status}\n{last}")
        return status == 0

    def _ending(self, heart: Heart) -> str | None:
        """How a job ends before its time: a person cancelled it, or this worker is stopped."""
        return "stopped" if heart.cancelled.is_set() else "release" if self._over.is_set() else None

    def _modelled(self, job: dict[str, Any], folder: Path, heart: Heart) -> bool:
        """Whether the server took the model, which stays where it is until then. Raises Late, Refused."""
        try:
            return self._insisted(job, heart, partial(self._deliver, job, folder))
        except Refused as error:
            if error.status in NOT_TAKEN:
                (folder / TRAINED).unlink()
            if error.status < ITS_OWN:
                raise
            kept = f"the model is kept in {folder} and brought again when the job is tried again"
            raise Refused(error.status, f"{error}; {kept}") from error

    def _insisted(self, job: dict[str, Any], heart: Heart, bring: Callable[[], None]) -> bool:
        """Whether the server took what a job made; while it makes mistakes, that is brought again for an hour.

        Raises Late, Refused.
        """
        pauses = iter(PAUSES)
        while True:
            try:
                bring()
                return True
            except Refused as error:
                pause = next(pauses, None)
                if error.status < ITS_OWN or pause is None:
                    raise
                print(f"job {job['id']}: brought again in {pause:g} s, the server answered: {error}", flush=True)
            self._rest(pause, heart)
            if heart.late.is_set():
                raise Late(LOST)
            if how := self._ending(heart):
                self._end(job, how)
                return False

    def _rest(self, seconds: float, heart: Heart) -> None:
        """A pause that ends as soon as the job does."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not (heart.late.is_set() or self._ending(heart)):
            self._over.wait(min(left, self.beat / 2))

    def _deliver(self, job: dict[str, Any], folder: Path) -> None:
        """The model goes to the server, which decides about it."""
        package = self._packed(job, folder)
        answer = self.client.post(
            f"/api/jobs/{job['id']}/succeed", self._mine(job) | {"package": package}, patient=DECISION
        )
        said = "goes live" if answer["promoted"] else "does not go live"
        print(f"job {job['id']}: model {answer['model']} {said}: {answer['why']}", flush=True)

    def _packed(self, job: dict[str, Any], folder: Path) -> dict[str, Any]:
        """Of a run that lacks files, as where a disk was cleared, nothing is brought again."""
        try:
            return package_of(folder, job["endpoint"], self.client.put)
        except (Late, Refused, ConnectionError):
            raise
        except (OSError, ValueError):
            (folder / TRAINED).unlink(missing_ok=True)
            raise

    def _measured(self, job: dict[str, Any], heart: Heart, report: Report) -> None:
        """A deployed model on the evaluation set of a candidate."""
        folder = self._folder("measure", job)
        try:
            fetched(folder, job["subject"], job["for"], self.client)
            if self._ran(["-m", "serving.evaluation", str(folder)], folder, job, heart, report):
                self._insisted(job, heart, partial(self._tell_measured, job, folder))
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _tell_measured(self, job: dict[str, Any], folder: Path) -> None:
        """The figures go to the server, which decides about the candidate."""
        found = measurement_of(folder, self.client.put)
        self.client.post(f"/api/jobs/{job['id']}/measured", self._mine(job) | {"measurement": found}, DECISION)

    def _fail(self, job: dict[str, Any], error: str) -> None:
        """With as much of the reason as the server keeps: its end."""
        self._end(job, "fail", error=error[-LONGEST_ERROR:])

    def _end(self, job: dict[str, Any], how: str, **facts: Any) -> None:
        print(f"job {job['id']}: {how} {facts.get('error', '')}".rstrip(), flush=True)
        self.client.post(f"/api/jobs/{job['id']}/{how}", self._mine(job) | facts)

    def _mine(self, job: dict[str, Any]) -> dict[str, int]:
        return {"worker": self.number, "fence": job["fence"]}


def declared(arguments: Sequence[str]) -> list[str]:
    """What the server may know of a worker's arguments: no places."""
    return [text for text in arguments if allowed(text.lstrip("+").partition("=")[0])]


def _identity(job: dict[str, Any]) -> str:
    """What no other job has, of another store neither."""
    return f"job {job['id']} of {job['created']!r}"


def _own_name() -> str:
    name = re.sub(r"[^a-z0-9_.-]", "-", socket.gethostname().lower())[:50]
    return name if name[:1].isalnum() else f"worker-{secrets.token_hex(2)}"


def _machine() -> str:
    return f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"


@hydra.main(version_base="1.3", config_path="../configuration", config_name="worker")
def main(cfg: DictConfig) -> None:
    """Works until it is stopped; a job that is under way then goes back to the queue."""
    to_terminal()
    chosen = settings(WorkerSettings, plain(cfg)["serving"], "serving.")
    worker = Worker(
        chosen.server,
        None,
        chosen.name,
        shlex.split(chosen.arguments),
        chosen.logs,
        chosen.poll_seconds,
        chosen.keep_runs,
        chosen.certificate,
        chosen.token_file,
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: worker._over.set())
    try:
        worker.run()
    except ConnectionError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    command(main, serves=True)
