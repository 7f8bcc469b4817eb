import colorsys

import numpy as np
import pytest
import torch
import torchvision.transforms.v2.functional as peer

from datamodule.colour import ColorJitter
from datamodule.randomness import Draws


def draws(count):
    return Draws(0, np.zeros(count, np.int64), np.arange(count), np.zeros(count, np.int64), np.ones(count))


def pictures(count=8, channels=3):
    pixels = np.random.default_rng(0).integers(60, 180, (count, 6, 5, channels), dtype=np.uint8)
    return torch.from_numpy(pixels).permute(0, 3, 1, 2)


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation"])
def test_each_factor_changes_colours_as_torchvision_does(name):
    image = pictures()
    only = {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0, name: 0.3}
    changed, _ = ColorJitter(**only)(image, torch.zeros(8), draws(8))
    place = ["brightness", "contrast", "saturation"].index(name)
    factors = 1 + 0.3 * (2 * draws(8).uniform(4)[:, place] - 1)
    for one, ours, factor in zip(image, changed, factors, strict=True):
        theirs = getattr(peer, f"adjust_{name}")(one.float() / 255, factor) * 255
        torch.testing.assert_close(ours, theirs, atol=0.6, rtol=0)


def test_hue_turns_colours_and_keeps_brightness():
    red = torch.tensor([150.0, 90.0, 90.0]).view(1, 3, 1, 1).expand(64, 3, 4, 4)
    turned, _ = ColorJitter(0, 0, 0, 0.5)(red, torch.zeros(64), draws(64))
    gray = (turned * torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)).sum(1)
    torch.testing.assert_close(gray, torch.full_like(gray, gray[0, 0, 0].item()), atol=0.5, rtol=0)
    hues = [colorsys.rgb_to_hsv(*one[:, 0, 0].tolist())[0] for one in turned]
    assert len({round(hue * 6) % 6 for hue in hues}) == 6


def test_nothing_to_change_changes_nothing():
    image = pictures()
    same, _ = ColorJitter(0, 0, 0, 0)(image, torch.zeros(8), draws(8))
    torch.testing.assert_close(same, image.float(), atol=0.01, rtol=0)


def test_gray_pictures_keep_one_channel():
    changed, _ = ColorJitter()(pictures(channels=1), torch.zeros(8), draws(8))
    assert changed.shape == (8, 1, 6, 5) and changed.min() >= 0 and changed.max() <= 255


def test_impossible_settings_are_refused():
    with pytest.raises(ValueError, match=r"hue 0\.7"):
        ColorJitter(hue=0.7)
