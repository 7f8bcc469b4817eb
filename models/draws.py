"""The random numbers that a network draws, which its device has generators of its own for."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def draws_aside(device: torch.device) -> Iterator[None]:
    """What is drawn in here, on the CPU or this CUDA device, changes nothing of what is drawn afterwards."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield


def seed_draws(seed: int, device: torch.device) -> None:
    """Of the CPU and of this device; torch.manual_seed would visit every kind of device, 0.9 ms a step."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)
