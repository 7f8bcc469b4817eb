import torch
from torch import nn

from models.regression import InDeviations


def test_every_target_counts_the_same_in_the_loss():
    loss = InDeviations(nn.MSELoss(), torch.tensor([1000.0, 0.01]))
    found = [loss(torch.tensor([wrong]), torch.zeros(1, 2)) for wrong in ([1000.0, 0.0], [0.0, 0.01])]
    assert torch.isclose(*found)
