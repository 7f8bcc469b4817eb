"""What is refused by key before anything is read."""

import pytest

from models.checks import LOSSES, check
from utils.configuration import composed, option
from utils.overrides import options


@pytest.mark.parametrize(
    ("line", "fitting"),
    [
        (["task=regression", "task/loss=cross_entropy"], "mse | mae | huber"),
        (["task=multilabel", "task/loss=mse"], "bce | asymmetric | binary_focal"),
        (["task/loss=dice"], "cross_entropy | focal"),
        (["task=segmentation", "task/loss=cross_entropy"], "lovasz | focal"),
    ],
)
def test_a_loss_of_another_kind_of_targets_is_refused_with_those_that_fit(line, fitting):
    with pytest.raises(ValueError, match="task.loss=.* does not learn .*: choose task/loss=") as refused:
        check(composed(line))
    assert str(refused.value).endswith(fitting)


def test_each_option_of_the_group_is_known_by_its_target():
    known = {name: target for fitting in LOSSES.values() for name, target in fitting.items()}
    assert known == {name: option("task/loss", name)["_target_"] for name in options("task/loss")}


def test_a_loss_of_ones_own_is_let_be():
    check(composed(["task.loss._target_=torch.nn.MultiMarginLoss", "~task.loss.label_smoothing"]))
