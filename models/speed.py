"""Measures how a training step runs fastest here: precision, memory layout, compilation."""

import copy
import logging
import shutil
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from models.draws import draws_aside
from utils.words import many

log = logging.getLogger(__name__)

MEASURED_S = 0.3  # one step after the first, then more up to this time
SLOW_STEP_MS = 500.0  # from here on a quarter of the batch is measured
GAIN_WORTH_TAKING = 1.05  # a mode must be this much faster than the plainer one before it
THREADS_WORTH_TAKING = 1.3  # and more threads this much: waiting ones spin, and lose much where others want the cores
COMPILE_WORTH_TRYING_S = 900.0  # expected training time from which compiling is measured at all
PRECISIONS = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}


@dataclass(frozen=True)
class Speed:
    """One way to run a step, as the word list `trainer.speed` spells it."""

    mode: str

    @property
    def precision(self) -> str:
        """Lightning's name of it."""
        return next((name for word, name in PRECISIONS.items() if word in self.words), "32-true")

    @property
    def words(self) -> list[str]:
        return self.mode.split("+")

    def apply(self, net: nn.Module) -> nn.Module:
        """Sets layout and compilation on the network, in place; its state keeps its names."""
        if "channels_last" in self.words:
            net.to(memory_format=torch.channels_last)
        if "compile" in self.words:
            net.compile()
        return net

    def autocast(self, device: torch.device) -> Any:
        dtype = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}.get(self.precision)
        return torch.autocast(device.type, dtype=dtype) if dtype else nullcontext()


@dataclass(frozen=True)
class Measured:
    mode: str
    threads: int
    step_ms: float
    first_step_s: float


@dataclass(frozen=True)
class Bench:
    """What a step is measured on: copies of the network, the loss, the optimizer's maker and one batch on the device.

    The network's weights and the random number generators are afterwards as before.
    """

    net: nn.Module
    loss: Callable[[Tensor, Tensor], Tensor]
    make_optimizer: Callable[[nn.Module], torch.optim.Optimizer]
    image: Tensor
    target: Tensor

    def measure(self, mode: str, threads: int) -> Measured:
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            with draws_aside(self.image.device):
                return self._measure(Speed(mode), threads)
        finally:
            torch.set_num_threads(before)

    def quarter(self) -> "Bench":
        """On a quarter of the batch, whose ratios are the same where a step is long."""
        part = max(1, len(self.image) // 4)
        return replace(self, image=self.image[:part], target=self.target[:part])

    def _measure(self, speed: Speed, threads: int) -> Measured:
        net = speed.apply(copy.deepcopy(self.net).to(self.image.device).train())
        optimizer = self.make_optimizer(net)
        first = self._seconds(speed, net, optimizer)
        times = [self._seconds(speed, net, optimizer)]
        while sum(times) < MEASURED_S and len(times) < 20:
            times.append(self._seconds(speed, net, optimizer))
        return Measured(speed.mode, threads, 1000 * min(times), first)

    def _seconds(self, speed: Speed, net: nn.Module, optimizer: torch.optim.Optimizer) -> float:
        started = time.perf_counter()
        with speed.autocast(self.image.device):
            value = self.loss(net(self.image), self.target)
        value.backward()
        optimizer.step()
        optimizer.zero_grad()
        if self.image.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - started


def choose(bench: Bench, steps: int, threads: list[int]) -> tuple[Measured, list[Measured]]:
    """The fastest way for a training of `steps` steps, and all that were measured.

    threads: counts to try, from the fewest up; more are taken only where they help, as they do not in small networks.
    """
    plainest, *bolder = candidates(bench.image.device)
    if bench.measure(plainest, threads[0]).step_ms > SLOW_STEP_MS:
        bench, steps = bench.quarter(), 4 * steps
    table = [bench.measure(plainest, count) for count in threads]
    count = _fastest(table, THREADS_WORTH_TAKING).threads
    table += [bench.measure(mode, count) for mode in bolder]
    best = _fastest([row for row in table if row.threads == count])
    if best.step_ms * steps / 1000 > COMPILE_WORTH_TRYING_S and shutil.which("c++"):
        table.append(bench.measure(best.mode + "+compile", count))
        best = _with_compile(best, table[-1], steps)
    return best, table


def candidates(device: torch.device) -> list[str]:
    """From the plainest to the boldest."""
    return ["fp32", "fp32+channels_last", "bf16+channels_last"] + (
        ["fp16+channels_last"] if device.type == "cuda" else []
    )


def _fastest(table: list[Measured], gain: float = GAIN_WORTH_TAKING) -> Measured:
    """The plainest mode that no other beats by more than the gain worth taking."""
    best = table[0]
    for other in table[1:]:
        if other.step_ms * gain < best.step_ms:
            best = other
    return best


def _with_compile(plain: Measured, compiled: Measured, steps: int) -> Measured:
    saved_s = (plain.step_ms - compiled.step_ms) * steps / 1000
    return compiled if saved_s > compiled.first_step_s else plain


def spelt(best: Measured, table: list[Measured]) -> str:
    """One line for the log."""
    times = ", ".join(f"{row.mode} {many(row.threads, 'thread')} {row.step_ms:.1f} ms" for row in table)
    return f"speed: {best.mode} with {many(best.threads, 'thread')} (a step: {times})"
