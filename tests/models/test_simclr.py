import numpy as np
import pytest
import torch

from datamodule.digits import Digits
from models.simclr import contrast, rate, train_without_labels, view
from models.simple_cnn import SimpleCnn


def test_the_loss_is_low_where_both_views_are_alike_and_others_are_not():
    apart = torch.eye(4).repeat(2, 1)
    assert contrast(apart, 0.1) < 0.01 < 1 < contrast(torch.ones(8, 4), 0.1)
    assert contrast(torch.ones(8, 4), 0.1).item() == pytest.approx(np.log(7), rel=1e-4)


def test_views_differ_but_come_from_the_seed():
    image = torch.rand(6, 3, 16, 16)
    draw = [torch.Generator().manual_seed(seed) for seed in (1, 1, 2)]
    one, same, other = (view(image, generator, True) for generator in draw)
    assert torch.equal(one, same) and not torch.allclose(one, other) and one.shape == image.shape


def test_without_mirroring_no_view_is_mirrored():
    """A ramp from left to right keeps rising."""
    ramp = torch.linspace(-1, 1, 16).expand(40, 1, 16, 16).clone()
    rising = lambda seen: (seen[:, 0, 8, 12] > seen[:, 0, 8, 4]).float().mean()  # noqa: E731
    assert rising(view(ramp, torch.Generator().manual_seed(0), False)) == 1
    assert 0.2 < rising(view(ramp, torch.Generator().manual_seed(0), True)) < 0.8


def test_the_rate_rises_and_falls_to_zero():
    rates = [rate(step, 100) for step in range(100)]
    assert rates[0] < rates[4] and max(rates) == 1 and rates[-1] < 0.01


def test_it_learns_and_the_same_seed_gives_the_same_weights(tmp_path):
    data = Digits(cache_dir=str(tmp_path / "cache"), n_samples=200, workers=0)
    data.prepare()
    found = []
    for _ in range(2):
        torch.manual_seed(0)
        net = SimpleCnn(10, 1, 8, 8, num_filters=8, dense_width=32, blocks=2)
        losses = train_without_labels(net, data, data.inventory.rows("train"), 40, 3, batch_size=64, flip=False)
        assert losses[-1] < losses[0] - 0.2
        found.append(net.state_dict())
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])
