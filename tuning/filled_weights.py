"""Networks with made-up weights: nothing is drawn slowly, and no number slows the arithmetic down."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

PATTERN = 1_000_003  # numbers that are repeated; a prime, so that no layer's rows repeat each other
SMALLEST, BIAS = 1e-3, 0.05


class Uninitialised(TorchFunctionMode):
    """While it lasts no parameter is changed in place, which is what initialisers do; buffers are made as ever.

    On the meta device alone, tables of positions and the like would be lost.
    """

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name, changed = getattr(func, "__name__", ""), args[0] if args else kwargs.get("tensor")
        if isinstance(changed, nn.Parameter) and name.endswith("_") and name[0] != "_" and "grad" not in name:
            return changed
        return func(*args, **kwargs)


def made(create: Callable[[], nn.Module]) -> nn.Module:
    """The network that `create` builds, its initialisers left out, in evaluation mode."""
    with Uninitialised():
        net = create()
    fill(net)
    return net.eval()


@torch.no_grad()
def fill(net: nn.Module) -> None:
    """Weights of variance 1 / fan-in, scales 1, biases small: activations neither vanish nor grow without end.

    All are normal numbers, none is denormal, infinite or NaN; running statistics stay 0 and 1.
    """
    pattern = _pattern()
    for name, parameter in net.named_parameters():
        if parameter.dim() > 1:
            _tile(parameter, pattern, (parameter[0].numel() or 1) ** -0.5)
        elif name.endswith("bias"):
            _tile(parameter, pattern, BIAS)
        else:
            parameter.fill_(1.0)


def _pattern() -> Tensor:
    drawn = torch.randn(PATTERN, generator=torch.Generator().manual_seed(0))
    return drawn.sign() * drawn.abs().clamp(SMALLEST, 3.0)


def _tile(parameter: Tensor, pattern: Tensor, scale: float) -> None:
    flat = parameter.view(-1) if parameter.is_contiguous() else parameter.reshape(-1)
    scaled = pattern * scale
    for part in flat.split(len(pattern)):
        part.copy_(scaled[: len(part)])
    if not parameter.is_contiguous():
        parameter.copy_(flat.view(parameter.shape))
