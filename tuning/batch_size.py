"""datamodule.batch_size=auto: the smallest batch that is about as fast as any, within the memory there is."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from datamodule.memory import free_memory
from models.speed import Speed
from models.task import ImageTask

log = logging.getLogger(__name__)
SIZES = tuple(2**power for power in range(5, 13))  # 32 … 4096
FEWEST_BATCHES = 16  # an epoch has at least so many steps
FAST_ENOUGH = 0.9  # of the highest throughput
MEMORY_SHARE = 0.5  # of what is free
MEASURED_S = 0.2


@dataclass(frozen=True)
class Measured:
    """Images a second of training at one size, and the memory that a step takes (MiB, estimated)."""

    size: int
    images_per_s: float
    memory_mib: float


def pick(table: list[Measured]) -> Measured:
    """The smallest size that reaches most of the highest throughput: smaller batches learn more from an epoch."""
    best = max(row.images_per_s for row in table)
    return next(row for row in table if row.images_per_s >= FAST_ENOUGH * best)


def measured_sizes(task: ImageTask, image: Tensor, target: Tensor, images: int, mode: str) -> list[Measured]:
    """A step's time at each size that fits. image, target: one batch on the device. images: in an epoch."""
    most = max(SIZES[0], images // FEWEST_BATCHES)
    per_image, free = bytes_of_an_image(task, image, target, mode), memory_of(image.device)
    table: list[Measured] = []
    for size in SIZES:
        needed = per_image * size
        if table and (size > most or needed > MEMORY_SHARE * free):
            break
        try:
            table.append(Measured(size, _throughput(task, *_repeated(image, target, size), mode), needed / 2**20))
        except torch.OutOfMemoryError:
            break
        if len(table) > 2 and table[-1].images_per_s < FAST_ENOUGH * max(row.images_per_s for row in table):
            break
    return table


def bytes_of_an_image(task: ImageTask, image: Tensor, target: Tensor, mode: str) -> float:
    """What a forward pass keeps for its gradients, the network's own weights left out."""
    kept: dict[int, int] = {}
    own = {parameter.untyped_storage().data_ptr() for parameter in task.net.parameters()}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        value = _loss(task, image, target, mode)
    del value
    return 2 * sum(kept.values()) / len(image)  # gradients of the same size are made on the way back


def memory_of(device: torch.device) -> int:
    """Free bytes where the training happens."""
    return int(torch.cuda.mem_get_info(device)[0]) if device.type == "cuda" else free_memory()


def told(table: list[Measured], chosen: Measured) -> str:
    """One line for the log."""
    rows = ", ".join(f"{row.size}: {row.images_per_s:,.0f}" for row in table)
    return f"batch size {chosen.size}, about {chosen.memory_mib:,.0f} MiB a step (images a second by size: {rows})"


def _repeated(image: Tensor, target: Tensor, size: int) -> tuple[Tensor, Tensor]:
    rows = torch.arange(size, device=image.device) % len(image)
    return image[rows], target[rows]


def _loss(task: ImageTask, image: Tensor, target: Tensor, mode: str) -> Tensor:
    with Speed(mode).autocast(image.device):
        value: Tensor = task.loss(task.net(image), target)
    return value


def _throughput(task: ImageTask, image: Tensor, target: Tensor, mode: str) -> float:
    """Images a second in the fastest of a few steps, with one of the cheaper optimizers."""
    run = _step(task, image, target, mode)
    run()
    times = [run()]
    while sum(times) < MEASURED_S and len(times) < 10:
        times.append(run())
    return len(image) / min(times)


def _step(task: ImageTask, image: Tensor, target: Tensor, mode: str) -> Callable[[], float]:
    optimizer = torch.optim.AdamW(task.net.parameters(), lr=0.0, weight_decay=0.0)  # costs, and changes nothing

    def once() -> float:
        began = time.perf_counter()
        _loss(task, image, target, mode).backward()
        optimizer.step()
        if image.device.type == "cuda":
            torch.cuda.synchronize()
        task.net.zero_grad()
        return time.perf_counter() - began

    return once
