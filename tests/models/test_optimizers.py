import subprocess
import sys
from pathlib import Path

import pytest
import torch
from timm.optim import get_optimizer_info
from torch import nn

from models.backbones import build_timm
from models.optimizers import TIMM_OF_TORCH, TORCH_OWN, build_optimizer, parameter_groups
from utils.build import OF_THE_CHOICE, build
from utils.configuration import option
from utils.optimizer_names import optimizer_names
from utils.overrides import options

ROOT = Path(__file__).parent.parent.parent
YAMLS = [name for name in options("optimizers") if name != "default"]
NEEDS_A_GPU = ("bnb", "fused")
SLOW = ("kron", "kronc", "kronw")  # compile themselves at the first step


def small_net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Linear(216, 5))


def loss_of(net: nn.Module) -> torch.Tensor:
    image = torch.linspace(-1, 1, 4 * 64).reshape(4, 1, 8, 8)
    return nn.functional.cross_entropy(net(image), torch.tensor([0, 1, 2, 3]))


def train_a_step(net: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = loss_of(net)
        loss.backward(create_graph=getattr(optimizer, "is_second_order", False))
        return loss

    if isinstance(optimizer, torch.optim.LBFGS):
        optimizer.step(closure)
    else:
        closure()
        optimizer.step()


@pytest.mark.parametrize("name", YAMLS)
def test_every_yaml_gives_an_optimizer_that_lowers_the_loss(name):
    net = small_net()
    optimizer = build(option("optimizers", name))(net)
    before = loss_of(net).item()
    for _ in range(5):
        train_a_step(net, optimizer)
    assert loss_of(net).item() < before
    assert all(isinstance(group["lr"], float) for group in optimizer.param_groups)


@pytest.mark.parametrize("name", YAMLS)
def test_every_yaml_has_the_keys_of_the_automatic_choice(name):
    node = option("optimizers", name)
    assert node["option"] is None and set(OF_THE_CHOICE) <= set(node)


@pytest.mark.filterwarnings("ignore")  # what old optimizers say of themselves
@pytest.mark.parametrize("name", [name for name in optimizer_names() if not name.startswith((*NEEDS_A_GPU, *SLOW))])
def test_every_name_moves_the_weights(name):
    net = nn.Linear(6, 5, bias=False) if name == "Muon" else small_net()  # torch's Muon takes matrices alone
    before = next(net.parameters()).detach().clone()
    optimizer = build_optimizer(net, name, lr=0.1)
    if name == "Muon":
        net(torch.ones(2, 6)).sum().backward()
        optimizer.step()
    else:
        train_a_step(net, optimizer)
        train_a_step(net, optimizer)
    assert not torch.equal(before, next(net.parameters()))


def decayed(net: nn.Module) -> list[str]:
    rates = {
        id(tensor): group["weight_decay"] for group in parameter_groups(net, 0.1, 0.5) for tensor in group["params"]
    }
    return [name for name, tensor in net.named_parameters() if rates.get(id(tensor))]


def test_biases_and_norms_do_not_decay_and_frozen_weights_are_left_out():
    net = small_net()
    assert decayed(net) == ["0.weight", "4.weight"]
    net[4].weight.requires_grad_(False)
    assert sum(len(group["params"]) for group in parameter_groups(net, 0.1, 0.5)) == 5
    assert decayed(net) == ["0.weight"]


def test_what_a_timm_model_exempts_from_decay_does_not_decay():
    names = decayed(build_timm("test_vit", 3, 3, 32, 32, pretrained=False))
    assert "net.pos_embed" not in names and "net.blocks.0.mlp.fc1.weight" in names


def test_layer_decay_slows_each_layer_below_the_head():
    net = build_timm("resnet10t", 3, 3, 32, 32, pretrained=False)
    optimizer = build_optimizer(net, "adamw", lr=0.1, weight_decay=0.05, layer_decay=0.5)
    rate = {id(tensor): group["lr"] for group in optimizer.param_groups for tensor in group["params"]}
    layers = (net.net.conv1[0], net.net.layer4[0].conv1, net.net.fc)
    rates = [rate[id(layer.weight)] for layer in layers]
    assert rates[0] < rates[1] < rates[2] == 0.1
    assert rates[1] == pytest.approx(0.05)


def test_layer_decay_of_a_network_without_layers_is_refused():
    with pytest.raises(ValueError, match=r"layer_decay=0\.5: Sequential does not say"):
        build_optimizer(small_net(), "sgd", lr=0.1, layer_decay=0.5)


def test_rates_can_be_scaled_by_name():
    groups = parameter_groups(small_net(), 0.1, 0.0, lr_scale={"4.*": 10})
    assert sorted((round(group["lr"], 6), len(group["params"])) for group in groups) == [(0.1, 4), (1.0, 2)]


def test_a_network_in_which_nothing_trains_is_refused():
    with pytest.raises(ValueError, match="no parameter of the model trains"):
        build_optimizer(small_net().requires_grad_(False), "sgd", lr=0.1)


@pytest.mark.parametrize(("name", "near"), [("adamwv", "adamw"), ("Adafacto", "Adafactor"), ("lookahead_lyon", "lion")])
def test_an_unknown_name_is_refused_with_the_nearest(name, near):
    with pytest.raises(ValueError, match=f"optimizers.name={name}.*{near}"):
        build_optimizer(small_net(), name, lr=0.1)


@pytest.mark.parametrize("name", ["sgd", "SGD", "adamw", "lookahead_adamw"])
def test_an_argument_that_the_optimizer_lacks_is_refused(name):
    with pytest.raises(ValueError, match=r"optimizers.momentun: .* takes no such argument"):
        build_optimizer(small_net(), name, lr=0.1, momentun=0.5)


def test_none_means_the_optimizers_own_default():
    assert build_optimizer(small_net(), "adamw", lr=0.1, betas=None).param_groups[0]["betas"] == (0.9, 0.999)


def test_decay_of_an_optimizer_without_decay_is_refused():
    with pytest.raises(ValueError, match="Rprop has none; use 0"):
        build_optimizer(small_net(), "Rprop", lr=0.1, weight_decay=0.1)


def test_timms_names_for_torchs_own_mean_what_timm_means_by_them():
    for name, own in TIMM_OF_TORCH.items():
        info = get_optimizer_info(name)
        assert info.opt_class is TORCH_OWN[own] and not info.defaults


def test_the_default_optimizer_does_not_load_timm():
    script = """
import sys
import models.training
from models.optimizers import build_optimizer
from torch import nn
build_optimizer(nn.Linear(2, 2), "adamw", 0.001, 0.05)
assert "timm" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_torch_own_names_are_optimizers_for_dense_gradients():
    assert "SparseAdam" not in TORCH_OWN and {"SGD", "AdamW", "LBFGS", "Adafactor"} <= set(TORCH_OWN)
