"""Settings of `predict.py`; torch-free, so that they are checked before torch is imported."""

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal


@dataclass(frozen=True)
class PredictionSettings:
    """What is predicted, by which run, and where the answers go.

    top_k: how many classes a row names. threshold: classification gives no class below this probability; of several
    labels those at or above it are given (None: 0.5). workers: threads that read and decode.
    """

    source: str
    run: str = "latest"
    output: str = "predictions.csv"
    top_k: int = 1
    threshold: float | None = None
    batch_size: int = 64
    workers: int | Literal["auto"] = "auto"
    device: str = "auto"
    on_bad_image: Literal["row", "skip", "raise"] = "row"
    ray: bool = False
    logs: str = "logs"
    cache_dir: str = ".cache"

    def __post_init__(self) -> None:
        for key in ("top_k", "batch_size"):
            if getattr(self, key) < 1:
                raise ValueError(f"{key}={getattr(self, key)}: use 1 or more")
        if self.workers != "auto" and self.workers < 1:
            raise ValueError(f"workers={self.workers}: use 1 or more threads, or auto")
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise ValueError(f"threshold={self.threshold} is no probability: use a number from 0 to 1, or null")
        if self.file_type not in (".csv", ".parquet"):
            raise ValueError(f"output={self.output}: its name must end in .csv or .parquet")

    @property
    def file_type(self) -> str:
        return PurePosixPath(self.output).suffix.lower()
