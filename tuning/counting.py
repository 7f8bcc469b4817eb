"""What a network costs before it is run: parameters, multiplications, activations, counted without arithmetic."""

from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from tuning.made_model import on_meta


@dataclass(frozen=True)
class Counts:
    """macs: multiplications with their additions. activations: numbers that convolutions and products put out.

    All of one image; shared weights count once.
    """

    parameters: int
    macs: int
    activations: int


class _Counting(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.macs = self.activations = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        answered = func(*args, **(kwargs or {}))
        flops = flop_registry.get(func._overloadpacket)
        if flops is not None:
            first = answered if isinstance(answered, torch.Tensor) else answered[0]
            self.macs += int(flops(*args, **(kwargs or {}), out_val=answered)) // 2
            self.activations += first.numel()
        return answered


def counted(model: str, height: int, width: int, channels: int = 3) -> Counts:
    """Raises whatever the network does at a size that it refuses."""
    net, counting = on_meta(model, height, width), _Counting()
    channels = getattr(net, "in_chans", channels)
    with torch.no_grad(), counting:  # in inference mode some products would stay hidden in larger operations
        net(torch.empty(1, channels, height, width, device="meta"))
    return Counts(sum(parameter.numel() for parameter in net.parameters()), counting.macs, counting.activations)
