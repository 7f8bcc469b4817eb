"""What a benchmark's child process does: one model by one engine at one batch size. Imported before the fork."""

import gc
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

import timm
import torch
from torch import nn

from models.predictor import device as best_device
from serving.engines.cache import place, prepared, size_bytes
from serving.engines.engine import Engine, Maker
from serving.engines.machine import cpu_flags, cpu_name
from serving.engines.memory import peak_mib, peak_of_this_process_mib
from serving.engines.source import Source
from serving.engines.timing import figures
from tuning.counting import counted
from tuning.jobs import Job, Machine
from tuning.made_model import made_source, on_meta
from tuning.repetitions import timed
from utils.build import build
from utils.words import many

MIB = 2**20
OF_ONE_VALUE = "more than 1 value per channel"  # in what PyTorch says of batch normalisation over one
TINY_LR = 1e-9  # the weights stay as they are
FORGETS = Path("/proc/self/clear_refs")


def machine(asked: tuple[str, int]) -> Machine:
    """asked: device and threads."""
    device = best_device(asked[0])
    if device.type == "cuda":
        return Machine(f"{torch.cuda.get_device_name(device)}, CUDA {torch.version.cuda}", _versions())
    flags = [flag for flag in cpu_flags() if flag.startswith(("avx512", "amx", "sve"))]
    return Machine(f"{cpu_name()}{' ' + '+'.join(flags) if flags else ''}, {many(asked[1], 'thread')}", _versions())


def _versions() -> str:
    return f"torch {torch.__version__.partition('+')[0]}, timm {timm.__version__}"


def measure(job: Job) -> dict[str, Any]:
    """The figures of a row. Raises whatever the model or the engine does."""
    torch.set_num_threads(job.threads)
    return training(job) if job.engine is None else inference(job)


def inference(job: Job) -> dict[str, Any]:
    """From uint8 images in memory to logits in memory, as an engine is used."""
    source, maker, device = made_source(job), build(job.engine), best_device(job.device)
    engine = _engine(job, maker, source)
    pixels = source.example(job.batch)
    forget_peak(device)
    spent = timed(lambda: engine(pixels))
    peak = peak_mib(maker, source, job.batch) if maker.converts else peak_since_mib(device)
    disk = size_bytes(place(maker, source)) / MIB if maker.converts else _weights_mib(job)
    return _figures(job, spent) | {"peak_mib": peak, "disk_mib": disk, "computed_in": engine.facts.precision}


def training(job: Job) -> dict[str, Any]:
    """One step: forward, cross-entropy, backward, SGD with momentum."""
    source, device = made_source(job), best_device(job.device)
    net = source.network().train().to(device)
    optimizer = torch.optim.SGD(net.parameters(), lr=TINY_LR, momentum=0.9)
    image = torch.randn(job.batch, source.shape.channels, job.height, job.width, device=device)
    forget_peak(device)
    try:
        spent = timed(lambda: _step(net, optimizer, image, job.precision))
    except ValueError as error:
        if job.batch > 1 or OF_ONE_VALUE not in str(error):
            raise
        raise ValueError("batch normalisation has a single value here to average: use --batch-size 2") from error
    return _figures(job, spent) | {"peak_mib": peak_since_mib(device), "computed_in": job.precision}


def _step(net: nn.Module, optimizer: torch.optim.Optimizer, image: torch.Tensor, precision: str) -> None:
    types = {"bf16": torch.bfloat16, "fp16": torch.float16}
    with torch.autocast(image.device.type, types.get(precision), enabled=precision in types):
        answered = net(image)
        logits = answered[0] if isinstance(answered, tuple | list) else answered
        loss = nn.functional.cross_entropy(logits.float(), torch.zeros_like(logits[:, 0], dtype=torch.int64))
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    if image.device.type == "cuda":
        torch.cuda.synchronize(image.device)


def _figures(job: Job, spent: list[float]) -> dict[str, Any]:
    speed = asdict(figures(spent, job.batch)) | {"calls": len(spent)}
    return speed | _counts(job.model, job.height, job.width)


@lru_cache(maxsize=2)
def _counts(model: str, height: int, width: int) -> dict[str, int]:
    return asdict(counted(model, height, width))


class _Last:
    """The engine of the last job, kept for the next batch size; one at a time, so that each has the memory alone."""

    key: object = None
    engine: Engine | None = None


def _engine(job: Job, maker: Maker, source: Source) -> Engine:
    key = job.model, job.height, job.width, maker
    if _Last.engine is None or _Last.key != key:
        _Last.engine = None
        gc.collect()
        _Last.key, _Last.engine = key, prepared(maker, source)
    gc.collect()
    return _Last.engine


def forget_peak(device: torch.device) -> None:
    """What was used before no longer counts (Linux, CUDA)."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    elif FORGETS.exists():
        FORGETS.write_text("5")


def peak_since_mib(device: torch.device) -> float:
    """The process's resident memory at its highest, libraries included; on a GPU what PyTorch holds of its memory."""
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device) / MIB
    return peak_of_this_process_mib()


def _weights_mib(job: Job) -> float:
    """Of the file that would hold them."""
    tensors = on_meta(job.model, job.height, job.width).state_dict().values()
    size = {"bf16": 2, "fp16": 2}.get(job.precision, 4)
    return sum(one.numel() * (size if one.is_floating_point() else one.element_size()) for one in tensors) / MIB
