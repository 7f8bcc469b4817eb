import pytest
import timm
import torch
from torch import nn

from models.backbones import TimmBackbone
from models.freezing import HEADS, FreezeBackbone, backbone
from models.simple_cnn import SimpleCnn


def names(net: nn.Module, heads=HEADS) -> set[str]:
    """Of the parameters that stay."""
    kept = {id(parameter) for module in backbone(net, set(heads)) for parameter in module.parameters(False)}
    return {name for name, parameter in net.named_parameters() if id(parameter) in kept}


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_efficientnet"])
def test_all_but_the_classifier_is_frozen(name):
    net = TimmBackbone(timm.create_model(name, num_classes=3))
    classifier = {f"net.{net.net.pretrained_cfg['classifier']}.{part}" for part in ("weight", "bias")}
    assert {name for name, _ in net.named_parameters()} - names(net) == classifier


def test_a_network_without_a_known_head_is_refused():
    with pytest.raises(ValueError, match="Sequential has no head named"):
        backbone(nn.Sequential(nn.Linear(2, 2)), {"head"})


class Loop:
    current_epoch = 0


def test_weights_and_averages_change_only_after_the_first_epochs():
    task, callback, loop = nn.Module(), FreezeBackbone(epochs=1), Loop()
    task.net = SimpleCnn(3, 1, 8, 8, num_filters=4, blocks=1, dense_width=8, dropout=0.0)
    optimizer = torch.optim.AdamW(task.net.parameters(), 0.1, weight_decay=0.1)
    before = {name: value.clone() for name, value in task.net.state_dict().items()}
    callback.on_fit_start(loop, task)

    def changed() -> set[str]:
        callback.on_train_batch_start(loop, task, None, 0)
        task.net(torch.randn(4, 1, 8, 8)).square().sum().backward()
        callback.on_before_optimizer_step(loop, task, optimizer)
        optimizer.step()
        optimizer.zero_grad()
        callback.on_train_batch_end(loop, task, None, None, 0)
        return {name for name, value in task.net.state_dict().items() if not torch.equal(value, before[name])}

    assert changed() == {"head.weight", "head.bias"}
    loop.current_epoch = 1
    assert {"body.0.weight", "body.1.running_mean", "dense.0.weight"} <= changed()
