import pytest
import torch

from models.simple_cnn import SimpleCnn


@pytest.mark.parametrize("size", [(8, 8), (28, 28), (33, 47), (3, 5), (96, 64)])
@pytest.mark.parametrize("kernel_size", [1, 4, 5])
def test_it_fits_images_of_any_size(size, kernel_size):
    net = SimpleCnn(7, 2, *size, kernel_size=kernel_size, num_filters=4, dense_width=16)
    assert net(torch.zeros(3, 2, *size)).shape == (3, 7)
    assert net.features(torch.zeros(3, 2, *size)).shape == (3, 16)


def test_its_three_knobs_change_the_shapes():
    net = SimpleCnn(3, 1, 16, 16, kernel_size=5, num_filters=6, dense_width=20)
    assert net.body[0].weight.shape == (6, 1, 5, 5)
    assert net.head.weight.shape == (3, 20)


def test_features_lead_to_the_logits():
    net = SimpleCnn(3, 1, 16, 16).eval()
    image = torch.randn(2, 1, 16, 16)
    assert torch.equal(net.head(net.features(image)), net(image))


@pytest.mark.parametrize("key", ["kernel_size", "num_filters", "dense_width", "blocks"])
def test_a_knob_below_one_is_refused_by_name(key):
    with pytest.raises(ValueError, match=rf"models\.{key}=0"):
        SimpleCnn(3, 1, 16, 16, **{key: 0})
