import subprocess
import sys
from pathlib import Path

import torch
from torch import nn

from models import regression
from models.rescaled import Rescaled, holds_values


def test_answers_are_in_the_targets_unit():
    net = Rescaled(nn.Flatten(), 2)
    net.fit(torch.tensor([[1000.0, 5.0], [3000.0, 5.0]]))
    answers = net(torch.tensor([[[1.0, 1.0]], [[-1.0, 0.0]]]))
    assert answers.tolist() == [[3000, 6], [1000, 5]]


def test_the_unit_stays_exact_where_the_network_is_cast():
    net = Rescaled(nn.Linear(1, 1), 1)
    net.fit(torch.tensor([[1989.0], [1991.0]]))
    assert (net.to(torch.bfloat16).mean.item(), net.std.item(), net.net.weight.dtype) == (1990, 1, torch.bfloat16)


def test_a_network_that_normalises_by_itself_is_no_regression():
    net = nn.BatchNorm1d(2)
    own = {"mean": net.running_mean, "std": net.running_var, "weight": net.weight}
    assert holds_values(Rescaled(net, 2).state_dict()) and not holds_values(own)


def test_a_deployed_regression_loads_no_trainer():
    code = "import sys, models.rescaled; print([name for name in sys.modules if 'lightning' in name])"
    root = Path(__file__).parent.parent.parent
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
    assert vars(regression)["Rescaled"] is Rescaled  # as model files of before call it
