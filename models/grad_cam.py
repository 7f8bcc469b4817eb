"""Where a convolutional network looks: Grad-CAM (Selvaraju et al. 2017, arXiv:1610.02391)."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

POOLS = (nn.AvgPool2d, nn.MaxPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)
Pixels = NDArray[np.uint8]


def grad_cam(net: nn.Module, image: Tensor) -> NDArray[np.float32] | None:
    """How much each place speaks for the predicted class, 0..1, (B, H, W); None without late feature maps.

    image: (B, C, H, W) as the network takes it. The network's mode, weights and gradients stay as they are.
    """
    with torch.inference_mode(False), torch.enable_grad():
        seen, image = _Seen(net), image.clone()
        logits = net.forward(image.requires_grad_())  # not net(…): a compiled call would not run the hooks
        found = seen.close()
        if found is None or logits.ndim != 2:
            return None
        [gradient] = torch.autograd.grad(logits.max(1).values.sum(), found)
    heat = (gradient.mean((2, 3), keepdim=True) * found.detach()).sum(1, keepdim=True).relu().float()
    heat = F.interpolate(heat, image.shape[2:], mode="bilinear")[:, 0]
    peak = heat.amax((1, 2), keepdim=True).clamp_min(torch.finfo(torch.float32).tiny)
    return np.asarray((heat / peak).cpu().numpy(), np.float32)


class _Seen:
    """Notes the last feature map of a forward pass, and whether convolutions went on until shortly before it."""

    def __init__(self, net: nn.Module) -> None:
        self.last: Tensor | None = None
        self.calls = self.last_convolution = 0
        self.hooks = [module.register_forward_hook(self._note) for module in net.modules()]

    def _note(self, module: nn.Module, _: Any, output: Any) -> None:
        self.calls += 1
        if not isinstance(output, Tensor) or output.ndim != 4 or min(output.shape[2:]) < 2:
            return
        if isinstance(module, nn.Conv2d):
            self.last_convolution = self.calls
        if not isinstance(module, POOLS):
            self.last = output

    def close(self) -> Tensor | None:
        """The map, None for a network whose convolutions only cut the image into patches."""
        for hook in self.hooks:
            hook.remove()
        return self.last if self.last_convolution > self.calls / 3 else None


def overlaid(image: Pixels, heat: NDArray[np.float32]) -> Pixels:
    """image (H, W, C) with the heat (H, W) over it, (H, W, 3)."""
    from matplotlib import colormaps

    base = image[..., :3] if image.shape[2] >= 3 else np.repeat(image[..., :1], 3, axis=2)
    colour, strength = 255 * colormaps["turbo"](heat)[..., :3], 0.2 + 0.4 * heat[..., None]
    return np.asarray(base * (1 - strength) + colour * strength, np.uint8)
