"""Settings of a run and of its training loop; torch-free, so that they are checked before torch is imported."""

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

CHOSEN = (("optimizers", "option"), ("optimizers", "lr"), ("datamodule", "batch_size"))  # by trials, where auto
SPEED_WORDS = ("fp32", "bf16", "fp16", "channels_last", "compile")


@dataclass(frozen=True)
class RunSettings:
    """What a run is called, where it lies and what it starts from."""

    seed: int = 0
    logs: str = "logs"
    experiment_name: str = "default"
    run_name: str | None = None
    force: bool = False
    resume_full_training: str | bool | None = None
    resume_weights_training: str | None = None
    reproduce: str | None = None

    def __post_init__(self) -> None:
        starts = [key for key in ("resume_full_training", "resume_weights_training", "reproduce") if getattr(self, key)]
        if len(starts) > 1:
            raise ValueError(f"{' and '.join(starts)} exclude each other: give one of them")
        for key in ("experiment_name", "run_name"):
            name = getattr(self, key)
            if name is not None and not re.fullmatch(r"(?!\.\.?$)[A-Za-z0-9_.-]+", name):
                raise ValueError(f"{key}={name}: use letters, digits, '_', '.' and '-' alone")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed={self.seed}: use a number from 0 to 4294967295")


@dataclass(frozen=True)
class TrainerSettings:
    """The training loop's limits, devices and speed."""

    tune: bool = False
    max_epochs: int = 30
    max_steps: int = -1
    max_time: str | None = None
    stopped_at: int | None = None
    accelerator: str = "auto"
    devices: int | str | list[int] = 1
    num_nodes: int = 1
    strategy: str = "auto"
    speed: str = "auto"
    threads: int | None = None
    accumulate_grad_batches: int = 1
    gradient_clip_val: float | None = None
    check_val_every_n_epoch: int = 1
    log_every_n_steps: int = 50
    deterministic: bool | Literal["warn"] = True
    progress: bool = True
    report: bool = True

    def __post_init__(self) -> None:
        for key in (
            "max_epochs",
            "num_nodes",
            "accumulate_grad_batches",
            "check_val_every_n_epoch",
            "log_every_n_steps",
        ):
            if getattr(self, key) < 1:
                raise ValueError(f"trainer.{key}={getattr(self, key)} trains nothing: use 1 or more")
        if self.max_steps == 0 or self.max_steps < -1:
            raise ValueError(f"trainer.max_steps={self.max_steps} trains nothing: use 1 or more, or -1 for no limit")
        if self.stopped_at is not None and self.stopped_at < 1:
            raise ValueError(f"trainer.stopped_at={self.stopped_at} trains nothing: use 1 or more, or null")
        unknown = set(self.speed.split("+")) - set(SPEED_WORDS)
        if self.speed != "auto" and unknown:
            raise ValueError(
                f"trainer.speed={self.speed}: use auto, or words of {', '.join(SPEED_WORDS)} joined by '+'"
            )
        if {"bf16", "fp16"} <= set(self.speed.split("+")):
            raise ValueError(f"trainer.speed={self.speed}: bf16 and fp16 exclude each other")
        if self.threads is not None and self.threads < 1:
            raise ValueError(f"trainer.threads={self.threads}: use 1 or more, or null for the machine's choice")
        if self.max_time is not None:
            duration(self.max_time)


def duration(text: str, key: str = "trainer.max_time") -> timedelta:
    """A time span from "DD:HH:MM:SS"; key: what an error is about."""
    if not re.fullmatch(r"\d{1,6}(:\d{1,6}){3}", str(text)):
        raise ValueError(f'{key}={text}: write it as "DD:HH:MM:SS" (quoted in yaml), 00:00:30:00 is half an hour')
    days, hours, minutes, seconds = (int(part) for part in str(text).split(":"))
    span = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    if not span:
        raise ValueError(f"{key}={text} trains nothing: use a span above 0")
    return span
