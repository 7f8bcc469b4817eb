from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from datamodule.randomness import Draws
from datamodule.transforms import Augmentation, Normalize, Transform, with_rows
from utils.build import build

RECIPES = sorted((Path(__file__).parents[2] / "configuration/datamodule/augment").glob("*.yaml"))


def draws(index, epoch=0, seed=0):
    rows = np.array(index)
    return Draws(seed, np.full(len(rows), epoch), rows, np.zeros_like(rows), np.full(len(rows), 1.0))


def pictures(count, size, channels=3):
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (count, size, size, channels), dtype=torch.uint8, generator=generator)
    return pixels.permute(0, 3, 1, 2)


def recipe(file, size):
    made = build(yaml.safe_load(file.read_text()))
    return Augmentation({name: transform.fitted(size, size) for name, transform in made.items()}, classes=5)


@pytest.mark.parametrize("size", [12, 80])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("file", RECIPES, ids=lambda file: file.stem)
def test_every_recipe_keeps_shape_range_and_targets(file, channels, size):
    image, target = recipe(file, size)(pictures(16, size, channels), torch.arange(16) % 5, draws(range(16)))
    assert image.shape == (16, channels, size, size) and image.dtype in (torch.uint8, torch.float32)
    assert image.min() >= 0 and image.max() <= 255 and image.float().std() > 10
    assert target.shape == (16,) or torch.allclose(target.sum(1), torch.ones(16))


@pytest.mark.parametrize("size", [12, 80])
@pytest.mark.parametrize("file", RECIPES, ids=lambda file: file.stem)
def test_every_recipe_treats_a_sample_the_same_wherever_it_stands_in_the_batch(file, size):
    image, target, augment = pictures(16, size), torch.arange(16) % 5, recipe(file, size)
    order = torch.randperm(16, generator=torch.Generator().manual_seed(1))
    straight = augment(image, target, draws(range(16)))
    shuffled = augment(image[order], target[order], draws(order.numpy()))
    for one, other in zip(straight, shuffled, strict=True):
        torch.testing.assert_close(one[order], other, atol=1e-4, rtol=0)


@pytest.mark.parametrize("file", [file for file in RECIPES if file.stem != "none"], ids=lambda file: file.stem)
def test_every_recipe_follows_seed_and_epoch_alone(file):
    image, target, augment = pictures(16, 12), torch.arange(16) % 5, recipe(file, 12)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    first, again = (augment(image, target, draws(range(16)))[0] for _ in range(2))
    assert torch.equal(first, again)
    assert torch.equal(before[0], torch.get_rng_state()) and (before[1] == np.random.get_state()[1]).all()
    for other in (draws(range(16), epoch=1), draws(range(16), seed=1)):
        assert not torch.equal(first, augment(image, target, other)[0])


@pytest.mark.parametrize("file", RECIPES, ids=lambda file: file.stem)
def test_no_recipe_changes_the_batch_it_was_given(file):
    image = pictures(16, 12)
    copy = image.clone()
    recipe(file, 12)(image, torch.arange(16) % 5, draws(range(16)))
    assert torch.equal(image, copy)


def test_switching_a_transform_off_leaves_the_others_as_they_were():
    file = next(file for file in RECIPES if file.stem == "light")
    made = {name: transform.fitted(12, 12) for name, transform in build(yaml.safe_load(file.read_text())).items()}
    image, target = pictures(16, 12), torch.arange(16) % 5
    without_flip = {name: transform for name, transform in made.items() if name != "flip"}
    unflipped = draws(range(16)).of("flip").uniform(1)[:, 0] >= 0.5
    whole, part = (Augmentation(some, 5)(image, target, draws(range(16)))[0] for some in (made, without_flip))
    assert torch.equal(whole[unflipped], part[unflipped]) and not torch.equal(whole, part)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("convert", [lambda image: image, lambda image: image.contiguous().float()])
def test_normalising_gives_the_formula_in_channels_last(channels, convert):
    image = convert(pictures(4, 6, channels))
    mean, std = (0.5, 0.4, 0.3)[:channels], (0.2, 0.3, 0.1)[:channels]
    copy = image.clone()
    normal = Normalize(mean, std)(image)
    known = (image.float() / 255 - torch.tensor(mean).view(-1, 1, 1)) / torch.tensor(std).view(-1, 1, 1)
    torch.testing.assert_close(normal, known, atol=1e-5, rtol=1e-5)
    assert normal.is_contiguous(memory_format=torch.channels_last) and torch.equal(image, copy)


def test_rows_are_replaced_where_asked():
    numbers = torch.arange(10.0).view(5, 2)
    changed = with_rows(numbers, np.array([3, 1]), lambda some: -some)
    assert changed.tolist() == [[0, 1], [-2, -3], [4, 5], [-6, -7], [8, 9]]
    assert with_rows(numbers, np.array([], np.int64), lambda some: -some) is numbers


def test_classes_become_shares_only_for_transforms_that_mix():
    class Mixes(Transform):
        softens = True

        def __call__(self, image, target, draws):
            return image, target

    image, target = pictures(3, 4), torch.tensor([0, 2, 1])
    shares = Augmentation({"a": Mixes()}, 3)(image, target, draws(range(3)))[1]
    assert shares.tolist() == [[1, 0, 0], [0, 0, 1], [0, 1, 0]]
    assert Augmentation({}, 3)(image, target, draws(range(3)))[1] is target
