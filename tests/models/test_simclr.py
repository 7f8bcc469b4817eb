import numpy as np
import pytest
import torch

from datamodule.digits import Digits
from models.fast_net import FastNet
from models.inference import ready
from models.simclr import contrast, fastest, rate, train_without_labels, view
from models.simple_cnn import SimpleCnn
from models.speed import Speed, candidates


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


@pytest.fixture
def digits(tmp_path):
    data = Digits(cache_dir=str(tmp_path / "cache"), n_samples=200, workers=0)
    data.prepare()
    return data


@pytest.mark.parametrize("mode", ["fp32", "bf16+channels_last"])
def test_it_learns_and_the_same_seed_gives_the_same_weights(digits, mode):
    found, rows = [], digits.inventory.rows("train")
    for _ in range(2):
        torch.manual_seed(0)
        net = SimpleCnn(10, 1, 8, 8, num_filters=8, dense_width=32, blocks=2)
        losses = train_without_labels(net, digits, rows, 40, 3, batch_size=64, flip=False, speed=Speed(mode))
        assert losses[-1] < losses[0] - 0.2
        found.append(net.state_dict())
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])


def test_the_speed_is_one_that_was_measured_and_measuring_changes_nothing(digits):
    torch.manual_seed(0)
    net = SimpleCnn(10, 1, 8, 8, num_filters=8, dense_width=32, blocks=2)
    before, state = torch.get_rng_state(), {name: value.clone() for name, value in net.state_dict().items()}
    speed = fastest(net, digits, digits.inventory.rows("train"), 2)
    assert speed.mode in candidates(torch.device("cpu")) and torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(state[name], value) for name, value in net.state_dict().items())


def test_a_network_that_looks_at_data_first_sees_the_pool(digits):
    net = FastNet(10, 1, 8, 8, [8])
    train_without_labels(net, digits, digits.inventory.rows("train"), 1, 3)
    image = torch.cat([batch.image for batch in ready(digits, digits.train_dataloader(), torch.device("cpu"))])
    maps = net.whiten(image)[:, :4].transpose(0, 1).flatten(1)
    assert torch.allclose(maps @ maps.T / maps.shape[1], torch.eye(4), atol=0.2)
