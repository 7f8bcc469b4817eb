"""Grad-CAM points at what the answer depends on, and leaves the network as it was."""

import numpy as np
import pytest
import timm
import torch
from torch import nn

from models.grad_cam import grad_cam, overlaid


class Brightest(nn.Module):
    """Class 1 where there is brightness; its features are the pixels themselves."""

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(1, 1, 1, bias=False)
        nn.init.ones_(self.convolution.weight)

    def forward(self, image):
        bright = self.convolution(image).mean((1, 2, 3))
        return torch.stack([torch.zeros_like(bright), bright], 1)


@pytest.fixture
def spot():
    image = torch.zeros(2, 1, 8, 8)
    image[0, 0, 1, 6] = image[1, 0, 5, 2] = 1.0
    return image


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.enable_grad])
def test_the_heat_lies_where_the_evidence_is(spot, mode):
    net = Brightest().eval()
    with mode():
        heat = grad_cam(net, spot * 1)
    assert heat.shape == (2, 8, 8) and heat.max() == 1.0 and heat.min() == 0.0
    assert [np.unravel_index(one.argmax(), one.shape) for one in heat] == [(1, 6), (5, 2)]


def test_the_network_is_left_as_it_was(spot):
    net = Brightest().eval()
    grad_cam(net, spot)
    assert net.convolution.weight.grad is None and not net.training
    assert all(not module._forward_hooks for module in net.modules())


ENDS_IN_MAPS = {"test_resnet": True, "test_convnext": True, "test_efficientnet": True, "test_vit": False}


@pytest.mark.parametrize(("architecture", "has"), ENDS_IN_MAPS.items())
def test_networks_without_late_feature_maps_have_none(architecture, has):
    net = timm.create_model(architecture, num_classes=3).eval()
    size = 160 if architecture == "test_vit" else 64
    heat = grad_cam(net, torch.randn(1, 3, size, size))
    assert (heat is not None) == has


def test_the_heat_is_drawn_over_gray_and_colour_images():
    for channels in (1, 3):
        drawn = overlaid(
            np.full((4, 6, channels), 100, np.uint8), np.linspace(0, 1, 24, dtype=np.float32).reshape(4, 6)
        )
        assert drawn.shape == (4, 6, 3) and drawn.dtype == np.uint8
        assert drawn[3, 5, 0] > drawn[3, 5, 2]  # hot is red
