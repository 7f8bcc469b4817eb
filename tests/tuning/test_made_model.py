"""Networks without trained weights: what they are filled with, and what they cost."""

import pytest
import torch

from tuning.counting import counted
from tuning.filled_weights import made
from tuning.made_model import created

MODELS = ("test_resnet", "test_vit", "test_convnext", "test_nfnet")


@pytest.mark.parametrize("model", MODELS)
def test_every_weight_and_every_answer_is_a_normal_number(model):
    net = made(lambda: created(model, 96, 96))
    smallest = torch.finfo(torch.float32).tiny
    for parameter in net.parameters():
        assert parameter.isfinite().all() and (parameter.abs() >= smallest).all()
    seen = []
    hooks = [module.register_forward_hook(lambda *found: seen.append(found[2])) for module in net.modules()]
    with torch.inference_mode():
        net(torch.randn(1, 3, 96, 96, generator=torch.Generator().manual_seed(0)))
    for answered in (one for one in seen if isinstance(one, torch.Tensor)):
        assert answered.isfinite().all()
        assert not ((answered != 0) & (answered.abs() < smallest)).any()
    assert hooks


def test_buffers_are_those_that_the_network_made():
    torch.manual_seed(0)
    ours, theirs = made(lambda: created("swin_tiny_patch4_window7_224", 224, 224)), created(
        "swin_tiny_patch4_window7_224", 224, 224
    )  # fmt: skip
    for (name, one), (_, other) in zip(ours.named_buffers(), theirs.named_buffers(), strict=True):
        assert torch.equal(one, other), name
    assert next(name for name, _ in ours.named_buffers())


def test_no_initialiser_touches_a_weight_while_it_is_made():
    drawn = []

    def create():
        layer = torch.nn.Linear(4, 4)
        torch.nn.init.constant_(layer.weight, 7.0)
        drawn.append(layer.weight.detach().clone())
        return layer

    made(create)
    assert not (drawn[0] == 7.0).all()


# As timm publishes them for these models.
@pytest.mark.parametrize(
    ("model", "size", "million", "gmacs", "mactivations"),
    [("resnet18", 224, 11.69, 1.82, 2.48), ("efficientnet_b0", 256, 5.29, 0.52, 8.81)],
)
def test_counts_are_those_that_timm_publishes(model, size, million, gmacs, mactivations):
    found = counted(model, size, size)
    assert found.parameters / 1e6 == pytest.approx(million, abs=0.01)
    assert found.macs / 1e9 == pytest.approx(gmacs, rel=0.05)  # theirs counts a few further operations
    assert found.activations / 1e6 == pytest.approx(mactivations, abs=0.01)
