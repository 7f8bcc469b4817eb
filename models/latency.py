"""How fast a network answers: latency of one image, throughput of batches."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from datamodule.preprocessing import Preprocessing
from datamodule.transforms import Normalize
from utils.words import images_a_second, many

MEASURED_S = 2.0  # at least LEAST_CALLS, then more up to this time
LEAST_CALLS, MOST_CALLS, WARM_UP = 30, 1000, 5


@dataclass(frozen=True)
class Speed:
    """Of the network and the normalisation before it, from uint8 images in the device's memory to logits."""

    p50_ms: float  # one image at a time
    p95_ms: float
    p99_ms: float
    images_per_s: float  # in batches
    batch_size: int
    where: str

    def rows(self) -> list[tuple[str, str]]:
        """Title and figure of each, for the table."""
        latency = [(f"Latency {name}", f"{value:.2f} ms") for name, value in
                   (("p50", self.p50_ms), ("p95", self.p95_ms), ("p99", self.p99_ms))]  # fmt: skip
        return [*latency, ("Throughput", f"{images_a_second(self.images_per_s)} in batches of {self.batch_size}")]


def measured(net: nn.Module, shape: Preprocessing, batch_size: int, device: torch.device) -> Speed:
    """Eager PyTorch in float32, on this process's threads."""
    net, normalize = net.to(device).eval(), Normalize(shape.mean, shape.std)
    size = shape.channels, shape.height, shape.width

    def seconds(images: int) -> list[float]:
        image = torch.zeros((images, *size), dtype=torch.uint8, device=device)
        image = image.contiguous(memory_format=torch.channels_last)
        return timed(lambda: net(normalize(image)), device)

    alone, together = np.array(seconds(1)), np.array(seconds(batch_size))
    p50, p95, p99 = (1000 * np.quantile(alone, (0.5, 0.95, 0.99))).tolist()
    rate = batch_size / float(np.median(together))
    return Speed(p50, p95, p99, rate, batch_size, f"eager float32 on {where(device)}")


@torch.inference_mode()
def timed(call: Callable[[], Tensor], device: torch.device) -> list[float]:
    """Seconds of each call, after a few that are not counted; on an accelerator until its answer is there."""
    spent: list[float] = []
    while len(spent) < WARM_UP + LEAST_CALLS or (sum(spent) < MEASURED_S and len(spent) < MOST_CALLS):
        began = time.perf_counter()
        call()
        if device.type != "cpu":
            torch.accelerator.synchronize(device)
        spent.append(time.perf_counter() - began)
    return spent[WARM_UP:]


def where(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return many(torch.get_num_threads(), "CPU thread")
