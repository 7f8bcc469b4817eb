"""Settings of `python -m serving` and of its workers; free of torch and of web packages."""

import re
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Literal

NAME = r"[a-z0-9][a-z0-9_.-]{0,63}"  # of models and endpoints
NAMED = "up to 64 small letters, digits, '_', '.' and '-', a letter or digit first"  # the same in words
MEBIBYTE = 1 << 20
MOST_HOURS = 8760  # a year
OF_JOBS = ("lease_seconds", "max_attempts", "max_jobs_of_a_sweep", "max_model_mib")
OF_MONITORING = ("keep_days", "drift_window", "max_feedback_mib")
OR_NONE = (
    "keep_models",
    "reach",
    "local_workers",
    "max_sockets",
    "batch_wait_ms",
    "keep_predictions",
    "max_feedback",
)
OF_PREDICTIONS = ("max_batch", "max_waiting", "deadline_seconds", "max_images", "max_megapixels", "max_upload_mib")


@dataclass(frozen=True)
class ServingSettings:
    """The store and its server; configuration/serving/default.yaml says what each is."""

    host: str = "127.0.0.1"
    port: int = 8000
    root: str = "store"
    database: str | None = None
    certificate: str | None = None
    private_key: str | None = None
    allow_unencrypted: bool = False
    hosts: list[str] = field(default_factory=list)
    backend: Literal["local", "ray"] = "local"
    replicas: int = 2
    ray_address: str | None = None
    local_workers: int = 1
    worker_arguments: str = ""
    lease_seconds: float = 30.0
    max_attempts: int = 3
    max_jobs_of_a_sweep: int = 1000
    max_model_mib: int = 4096
    keep_models: int = 20
    reach: int = 10
    prune_hours: float | None = None
    max_batch: int = 16
    batch_wait_ms: float = 2.0
    max_waiting: int = 256
    deadline_seconds: float = 10.0
    requests_per_second: float = 0.0
    max_images: int = 32
    max_megapixels: float = 25.0
    max_upload_mib: float = 32.0
    max_sockets: int = 200
    keep_predictions: int = 100_000
    keep_days: float = 30.0
    drift_window: int = 500
    drift_alpha: float = 0.01
    max_feedback: int = 10_000
    max_feedback_mib: float = 2048.0

    def __post_init__(self) -> None:
        for key in (*OF_JOBS, *OF_PREDICTIONS, *OF_MONITORING):
            if getattr(self, key) <= 0:
                raise ValueError(f"serving.{key}={getattr(self, key)}: use a number above 0")
        for key in OR_NONE:
            if getattr(self, key) < 0:
                raise ValueError(f"serving.{key}={getattr(self, key)}: use 0 or more")
        if self.prune_hours is not None and not 0 < self.prune_hours <= MOST_HOURS:
            raise ValueError(
                f"serving.prune_hours={self.prune_hours}: use hours above 0 and up to {MOST_HOURS:,}, or null for none"
            )
        if not 0 <= self.port < 65536:
            raise ValueError(f"serving.port={self.port}: use a number from 0 to 65535 (0: any free one)")
        if bool(self.certificate) != bool(self.private_key):
            raise ValueError("serving.certificate and serving.private_key belong together: give both or none")
        if not 0 < self.drift_alpha < 1:
            raise ValueError(f"serving.drift_alpha={self.drift_alpha}: use a number between 0 and 1")
        if 0 < self.keep_predictions < self.drift_window:
            raise ValueError(
                f"serving.keep_predictions={self.keep_predictions} are fewer than the {self.drift_window} of "
                "serving.drift_window: keep more, or 0 for none"
            )
        self._refuse_open_door()
        self._require_database_of_many()

    @property
    def folder(self) -> Path:
        """The store's, absolute."""
        return Path(self.root).expanduser().absolute()

    @property
    def encrypted(self) -> bool:
        return self.certificate is not None

    def _refuse_open_door(self) -> None:
        """Tokens and images must not cross a network unencrypted unless somebody says that they may."""
        if not is_loopback(self.host) and not self.encrypted and not self.allow_unencrypted:
            raise ValueError(
                f"serving.host={self.host} is reachable from other machines, and tokens would cross the network in the "
                "clear: give serving.certificate=FILE serving.private_key=FILE, or, behind a proxy that encrypts, "
                "serving.allow_unencrypted=true"
            )

    def _require_database_of_many(self) -> None:
        """Replicas are processes, maybe on several machines, that all write."""
        if self.replicas < 1:
            raise ValueError(f"serving.replicas={self.replicas}: use 1 or more")
        if self.backend == "ray" and self.database is None:
            raise ValueError(
                "serving.backend=ray serves from several processes, and SQLite is for one: give "
                "serving.database=postgresql://USER@HOST/NAME, or serving.backend=local"
            )


@dataclass(frozen=True)
class WorkerSettings:
    """A worker; configuration/serving/worker.yaml says what each is."""

    server: str
    name: str | None = None
    token_file: str | None = None
    certificate: str | None = None
    logs: str = "logs"
    arguments: str = ""
    poll_seconds: float = 1.0
    keep_runs: bool = True

    def __post_init__(self) -> None:
        if not re.match(r"https?://[^/]+", self.server):
            raise ValueError(f"serving.server={self.server}: write http://HOST:PORT or https://HOST:PORT")
        if self.name is not None and not re.fullmatch(NAME, self.name):
            raise ValueError(f"serving.name={self.name}: use {NAMED}")
        if self.poll_seconds <= 0:
            raise ValueError(f"serving.poll_seconds={self.poll_seconds}: use a number above 0")


def is_loopback(host: str) -> bool:
    """Whether an address is reachable from this machine alone."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
