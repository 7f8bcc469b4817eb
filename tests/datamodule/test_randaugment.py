import numpy as np
import pytest
import torch
import torchvision.transforms.v2.functional as peer
from torchvision.transforms import InterpolationMode

from datamodule.randaugment import GEOMETRIC, OPERATIONS, RandAugment, apply
from datamodule.randomness import Draws

LEVEL = 0.3


def draws(count, epoch=0):
    return Draws(0, np.full(count, epoch), np.arange(count), np.zeros(count, np.int64), np.ones(count))


def smooth_pictures(count=4, channels=3):
    noise = torch.rand(count, channels, 6, 6, generator=torch.Generator().manual_seed(0)) * 255
    return torch.nn.functional.interpolate(noise, (24, 24), mode="bilinear").round().to(torch.uint8)


def changed(name, image, level=LEVEL):
    count = len(image)
    pixels = apply(image.permute(0, 2, 3, 1).contiguous(), np.array([name] * count), np.full(count, level))
    return pixels.permute(0, 3, 1, 2)


PEERS = {
    "identity": lambda image: image,
    "brightness": lambda image: peer.adjust_brightness(image, 1 + 0.9 * LEVEL),
    "contrast": lambda image: peer.adjust_contrast(image, 1 + 0.9 * LEVEL),
    "colour": lambda image: peer.adjust_saturation(image, 1 + 0.9 * LEVEL),
    "sharpness": lambda image: peer.adjust_sharpness(image, 1 + 0.9 * LEVEL),
    "posterize": lambda image: peer.posterize(image, 8 - round(4 * LEVEL)),
    "solarize": lambda image: peer.solarize(image, 255 * (1 - LEVEL)),
    "autocontrast": peer.autocontrast,
    "equalize": peer.equalize,
}


@pytest.mark.parametrize("name", PEERS)
def test_colours_change_as_torchvisions(name):
    image = smooth_pictures()
    difference = (changed(name, image).int() - PEERS[name](image).int()).abs()
    assert difference.max() <= 1 and difference.float().mean() < 0.6


@pytest.mark.parametrize("name", GEOMETRIC)
def test_pixels_move_about_as_far_as_torchvisions(name):
    image = smooth_pictures()
    shear, shift, turn = np.rad2deg(np.arctan(0.3 * LEVEL)), round(150 / 331 * LEVEL * 24), 30 * LEVEL
    still = {"angle": 0.0, "translate": [0, 0], "scale": 1.0, "shear": [0.0, 0.0]}
    change = {
        "shear_x": {"shear": [shear, 0.0]},
        "shear_y": {"shear": [0.0, shear]},
        "translate_x": {"translate": [shift, 0]},
        "translate_y": {"translate": [0, shift]},
        "rotate": {"angle": turn},
    }
    theirs = peer.affine(image, **still | change[name], interpolation=InterpolationMode.NEAREST)
    ours = [changed(name, image, level) for level in (LEVEL, -LEVEL)]
    moved = (image.int() - theirs.int()).abs().float().mean()
    assert min((one.int() - theirs.int()).abs().float().mean() for one in ours) < 0.25 * moved


def test_each_sample_gets_its_own_operations():
    image = smooth_pictures(1).expand(64, -1, -1, -1)
    augmented, _ = RandAugment()(image, torch.zeros(64), draws(64))
    assert len({one.numpy().tobytes() for one in augmented}) > 50 and augmented.dtype == torch.uint8


def test_all_operations_are_drawn():
    chance = draws(2000).uniform(2)[:, 0]
    assert set(OPERATIONS[np.floor(chance * len(OPERATIONS)).astype(int)]) == set(OPERATIONS)


def test_a_sample_is_changed_the_same_way_in_any_company():
    image = smooth_pictures(32)
    together, _ = RandAugment()(image, torch.zeros(32), draws(32))
    last = Draws(0, np.zeros(1, np.int64), np.array([31]), np.zeros(1, np.int64), np.ones(1))
    alone, _ = RandAugment()(image[31:], torch.zeros(1), last)
    assert torch.equal(together[31:], alone)


def test_masks_move_along_and_keep_their_classes():
    image = torch.full((256, 1, 24, 24), 200, dtype=torch.uint8)
    _, mask = RandAugment(count=1, magnitude=20)(image, torch.full((256, 24, 24), 7), draws(256))
    moved = (mask == 255).flatten(1).any(1)
    assert set(mask.unique().tolist()) == {7, 255} and 0.2 < moved.float().mean() < 0.5


@pytest.mark.parametrize("channels", [1, 4])
def test_other_channel_counts_work(channels):
    augmented, _ = RandAugment(count=3)(smooth_pictures(64, channels), torch.zeros(64), draws(64))
    assert augmented.shape == (64, channels, 24, 24)


def test_a_blank_or_tiny_picture_survives_every_operation():
    for name in OPERATIONS:
        assert changed(name, torch.full((2, 3, 5, 5), 90, dtype=torch.uint8)).shape == (2, 3, 5, 5)
        assert changed(name, torch.full((2, 1, 2, 1), 90, dtype=torch.uint8)).shape == (2, 1, 2, 1)


def test_impossible_settings_are_refused():
    with pytest.raises(ValueError, match="magnitude 31"):
        RandAugment(magnitude=31)
