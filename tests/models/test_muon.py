import copy

import pytest
import torch
from torch import nn

from models.muon import build_muon, orthogonalised


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8, 3, bias=False))


@pytest.mark.parametrize("shape", [(8, 18), (18, 8), (16, 16)])
def test_orthogonalised_brings_all_singular_values_near_one(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    values = torch.linalg.svdvals(orthogonalised(matrix, 5))
    assert values.min() > 0.6 and values.max() < 1.3
    assert orthogonalised(matrix, 5).shape == shape


def test_filters_keep_their_norm_and_move_by_the_rate():
    model = net()
    optimizer = build_muon(model, lr=0.0)
    model(torch.randn(4, 2, 3, 3)).square().sum().backward()
    optimizer.step()
    assert model[0].weight.norm().item() == pytest.approx(8**0.5, rel=1e-5)
    before = model[0].weight.detach().clone()
    optimizer.param_groups[0]["lr"] = 0.1
    optimizer.step()
    assert 0.05 < torch.linalg.matrix_norm((model[0].weight - before).flatten(1), 2) < 0.15


def test_each_kind_of_parameter_has_its_rate():
    optimizer = build_muon(net(), lr=0.2, sgd_lr=0.05, head_lr=0.7)
    rates = [(group["lr"], len(group["params"])) for group in optimizer.param_groups]
    assert rates == [(0.2, 1), (0.05, 3), (0.7, 1)]


def test_frozen_parameters_are_left_out():
    model = net()
    model[1].weight.requires_grad_(False)
    assert len(build_muon(model, lr=0.2).param_groups[1]["params"]) == 2


def test_the_rest_is_trained_by_sgd_with_nesterov_momentum():
    ours, theirs = net(), net()
    optimizer = build_muon(ours, lr=0.1, sgd_lr=0.1, head_lr=0.1, sgd_momentum=0.8)
    reference = torch.optim.SGD(theirs[3].parameters(), lr=0.1, momentum=0.8, nesterov=True)
    for _ in range(3):
        for model, which in ((ours, optimizer), (theirs, reference)):
            which.zero_grad()
            model[3](torch.ones(2, 8)).square().sum().backward()
            which.step()
    assert torch.allclose(ours[3].weight, theirs[3].weight, atol=1e-6)


def test_its_state_goes_on_after_loading():
    first, second = net(), net()
    one, two = build_muon(first, lr=0.1), build_muon(second, lr=0.1)
    image = torch.randn(4, 2, 3, 3)

    def train(model, optimizer):
        optimizer.zero_grad()
        model(image).square().sum().backward()
        optimizer.step()

    train(first, one)
    second.load_state_dict(first.state_dict())
    two.load_state_dict(copy.deepcopy(one.state_dict()))
    train(first, one)
    train(second, two)
    assert torch.equal(first[0].weight, second[0].weight)


def test_a_negative_rate_is_refused():
    with pytest.raises(ValueError, match=r"optimizers.lr=-1"):
        build_muon(net(), lr=-1)
