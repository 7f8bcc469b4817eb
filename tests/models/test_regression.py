import torch
from torch import nn

from models.regression import InDeviations, Rescaled


def test_answers_are_in_the_targets_unit():
    net = Rescaled(nn.Flatten(), 2)
    net.fit(torch.tensor([[1000.0, 5.0], [3000.0, 5.0]]))
    answers = net(torch.tensor([[[1.0, 1.0]], [[-1.0, 0.0]]]))
    assert answers.tolist() == [[3000, 6], [1000, 5]]


def test_the_unit_stays_exact_where_the_network_is_cast():
    net = Rescaled(nn.Linear(1, 1), 1)
    net.fit(torch.tensor([[1989.0], [1991.0]]))
    assert (net.to(torch.bfloat16).mean.item(), net.std.item(), net.net.weight.dtype) == (1990, 1, torch.bfloat16)


def test_every_target_counts_the_same_in_the_loss():
    loss = InDeviations(nn.MSELoss(), torch.tensor([1000.0, 0.01]))
    found = [loss(torch.tensor([wrong]), torch.zeros(1, 2)) for wrong in ([1000.0, 0.0], [0.0, 0.01])]
    assert torch.isclose(*found)
