import pytest
import torch

from models.fast_net import FastNet, whitening_filters


def sample(count: int = 64) -> torch.Tensor:
    """Smooth images, whose neighbouring pixels correlate as in photographs."""
    noise = torch.randn(count, 3, 20, 20, generator=torch.Generator().manual_seed(0))
    return torch.nn.functional.avg_pool2d(noise, 5, stride=1) * 5


def test_logits_and_features_have_their_shapes():
    net = FastNet(7, 3, 16, 16, widths=[8, 12])
    assert net(sample(4)).shape == (4, 7)
    assert net.features(sample(4)).shape == (4, 12)


def test_prepare_decorrelates_the_patches():
    net = FastNet(7, 3, 16, 16, widths=[8])
    net.prepare(sample())
    maps = net.whiten(sample())[:, :12].transpose(0, 1).flatten(1)
    covariance = maps @ maps.T / maps.shape[1]
    assert torch.allclose(covariance, torch.eye(12), atol=0.02)
    assert torch.equal(net.whiten.weight[:12], -net.whiten.weight[12:])


def test_fewer_whitened_filters_keep_the_directions_of_largest_variance():
    filters = whitening_filters(sample(), 2)
    net = FastNet(7, 3, 16, 16, widths=[8], whitened=6)
    net.prepare(sample())
    assert torch.equal(net.whiten.weight[:3], filters[:3])
    assert filters[0].norm() < filters[-1].norm()


def test_strided_patches_shrink_the_first_maps():
    net = FastNet(7, 3, 16, 16, widths=[8], kernel_size=4, stride=2, whitened=10)
    net.prepare(sample())
    assert net.whiten(sample(2)).shape == (2, 10, 7, 7)


def test_the_whitening_layer_does_not_train():
    net = FastNet(7, 3, 16, 16, widths=[8])
    assert "whiten.weight" not in [name for name, tensor in net.named_parameters() if tensor.requires_grad]
    assert "whiten.weight" in net.state_dict()


def test_too_many_groups_for_the_image_are_refused():
    with pytest.raises(ValueError, match=r"halves the image 3 times, too often for 8 x 8"):
        FastNet(7, 3, 8, 8, widths=[8, 8, 8])


@pytest.mark.parametrize("whitened", [0, 1, 26])
def test_an_impossible_count_of_whitened_filters_is_refused(whitened):
    with pytest.raises(ValueError, match=r"models\.whitened="):
        FastNet(7, 3, 16, 16, widths=[8], whitened=whitened)


def test_maps_of_one_pixel_are_convolved_with_one_tap():
    net = FastNet(7, 3, 16, 16, widths=[8, 8, 8], kernel_size=2)
    sizes = [[convolution.kernel_size for convolution in group.convolutions] for group in net.groups]
    assert sizes == [[(3, 3), (3, 3)], [(3, 3), (3, 3)], [(3, 3), (1, 1)]]


def test_a_small_entry_leaves_pooling_nothing_to_drop():
    """Every pixel of the whitened maps counts, where with 3 x 3 the last of an odd side are lost to pooling."""
    net = FastNet(7, 3, 32, 32, widths=[8, 8, 8], kernel_size=4, stride=2, whitened=10, entry_size=2)
    sides, entries = [], [group.convolutions[0] for group in net.groups]
    for entry in entries:
        entry.register_forward_hook(lambda module, given, maps: sides.append(maps.shape[-1]))
    image = torch.randn(2, 3, 32, 32)
    net(image)
    assert sides == [14, 6, 2] and [tuple(entry.kernel_size) for entry in entries] == [(2, 2)] * 3
    assert tuple(net.groups[2].convolutions[1].kernel_size) == (1, 1)
