"""The network with its normalisation, as PyTorch runs it: what the engines that stay in torch share."""

from typing import Any

import torch
from torch import Tensor, nn

from serving.engines.source import Source

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Normalised(nn.Module):
    """image (N, H, W, C) uint8 → logits float32: normalised in float32, the network in its own type and layout."""

    mean: Tensor
    std: Tensor

    def __init__(self, source: Source, precision: str, channels_last: bool) -> None:
        super().__init__()
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        self.dtype = DTYPES[precision]
        self.net: Any = source.network().to(self.dtype).to(memory_format=self.layout)
        for name in ("mean", "std"):
            self.register_buffer(name, 255 * torch.tensor(getattr(source.shape, name)).view(1, -1, 1, 1))

    def forward(self, image: Tensor) -> Tensor:
        image = (image.permute(0, 3, 1, 2).float() - self.mean) / self.std
        logits: Tensor = self.net(image.to(self.dtype).contiguous(memory_format=self.layout))
        return logits.float()


def read_back(net: Normalised) -> str:
    """The precision that its weights really have."""
    dtype = next(net.net.parameters()).dtype
    return next(name for name, known in DTYPES.items() if known == dtype)


def device_name(device: torch.device) -> str:
    return f"cuda, {torch.cuda.get_device_name(device)}" if device.type == "cuda" else device.type
