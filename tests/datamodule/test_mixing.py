import numpy as np
import pytest
import torch

from datamodule.mixing import CutMix, Erasing, Mixup, ring
from datamodule.randomness import Draws

COUNT = 64


def draws(index=range(COUNT)):
    rows = np.array(index)
    return Draws(0, np.zeros_like(rows), rows, np.zeros_like(rows), np.ones(len(rows)))


def constant_pictures(dtype=torch.uint8):
    """Picture k is k all over, and its target is k too."""
    return torch.arange(COUNT).view(-1, 1, 1, 1).expand(-1, 3, 16, 16).to(dtype), torch.arange(COUNT).float()[:, None]


def test_the_ring_joins_all_samples():
    partner = ring(np.random.default_rng(0).random(10))
    seen = [0]
    while len(seen) < 10:
        seen.append(partner[seen[-1]])
    assert sorted(seen) == list(range(10)) and partner[seen[-1]] == 0


def test_mixup_blends_pictures_and_targets_by_one_share():
    image, target = constant_pictures()
    mixed, soft = Mixup(1.0)(image, target, draws())
    torch.testing.assert_close(mixed[:, 0, 0, 0], soft[:, 0], atol=1e-4, rtol=0)
    assert (mixed.flatten(1).std(1) < 1e-4).all() and (soft != target).float().mean() > 0.9


def test_the_own_share_is_never_the_smaller_one():
    for transform in (Mixup(1.0), CutMix()):
        share = transform.share(draws().uniform(2))
        assert share.min() >= 0.5 and share.max() <= 1


def test_mixup_shares_follow_the_beta_distribution():
    chance = np.random.default_rng(0).random((20_000, 2))
    known = np.random.default_rng(1).beta(0.4, 0.4, 20_000)
    ours, theirs = (
        np.quantile(share, [0.1, 0.5, 0.9]) for share in (Mixup(0.4).share(chance), np.maximum(known, 1 - known))
    )
    assert np.abs(ours - theirs).max() < 0.02


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_cutmix_targets_follow_the_pixels(dtype):
    image, target = constant_pictures(dtype)
    mixed, soft = CutMix()(image, target, draws())
    torch.testing.assert_close(mixed.float().mean((1, 2, 3)), soft[:, 0], atol=1e-3, rtol=0)
    foreign = (mixed != image)[:, 0]
    assert mixed.dtype == dtype and foreign.any()
    for one in foreign[foreign.flatten(1).any(1)]:
        rows, columns = one.any(1), one.any(0)
        assert one.sum() == rows.sum() * columns.sum() and one.float().mean() <= 0.5


def test_cutmix_moves_masks_pixel_by_pixel():
    image, _ = constant_pictures()
    mixed, mask = CutMix()(image, image[:, 0].long(), draws())
    assert torch.equal(mixed[:, 0].long(), mask)


def test_mixup_refuses_masks():
    with pytest.raises(ValueError, match="no meaning for masks"):
        Mixup()(*constant_pictures()[:1], torch.zeros(COUNT, 16, 16, dtype=torch.int64), draws())


@pytest.mark.parametrize("transform", [Mixup(probability=0.0), CutMix(probability=0.0)])
def test_nothing_is_mixed_without_probability(transform):
    image, target = constant_pictures()
    mixed, soft = transform(image, target, draws())
    assert torch.equal(mixed.float(), image.float()) and torch.equal(soft, target)


@pytest.mark.parametrize("transform", [Mixup(1.0), CutMix()])
def test_partners_do_not_depend_on_the_order_in_the_batch(transform):
    image, target = constant_pictures()
    order = torch.randperm(COUNT, generator=torch.Generator().manual_seed(0))
    mixed, soft = transform(image, target, draws())
    again, soft_again = transform(image[order], target[order], draws(order.numpy()))
    assert torch.equal(mixed[order], again) and torch.equal(soft[order], soft_again)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_erasing_fills_one_rectangle_of_the_asked_size(dtype):
    image = torch.rand(COUNT, 3, 20, 20, generator=torch.Generator().manual_seed(0)).mul(255).to(dtype)
    erased, _ = Erasing(1.0, scale=(0.1, 0.2), ratio=(0.5, 2.0))(image, torch.zeros(COUNT), draws())
    changed = (erased != image).any(1)
    for before, after, one in zip(image, erased, changed, strict=True):
        rows, columns = torch.nonzero(one.any(1))[:, 0], torch.nonzero(one.any(0))[:, 0]
        block = after[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].float()
        assert 0.07 < block[0].numel() / 400 < 0.24
        assert (block.amax((1, 2)) == block.amin((1, 2))).all()
        assert (block[:, 0, 0] - before.float().mean((1, 2))).abs().max() <= 1


def test_erasing_with_random_colours_differs_by_sample():
    image, target = constant_pictures()
    erased, _ = Erasing(1.0, fill="random")(image, target, draws())
    assert len({tuple(one.flatten(1).amax(1).tolist()) for one in erased}) > 32


def test_only_so_many_are_erased():
    image, target = constant_pictures()
    erased, _ = Erasing(0.25, fill="random")(image, target, draws())
    assert 4 < (erased != image).flatten(1).any(1).sum() < 32


def test_impossible_settings_are_refused():
    for make in (lambda: Mixup(0.0), lambda: CutMix(probability=2.0), lambda: Erasing(scale=(0.5, 0.1))):
        with pytest.raises(ValueError, match=r"alpha|scale"):
            make()
