import math

import pytest
import torch
import torch.nn.functional as F
from hydra import compose, initialize_config_dir
from torch import nn

from models.class_weights import give, of_classes, of_labels
from models.losses import Asymmetric, BinaryFocal, Focal
from models.mask_losses import JaccardLoss, PixelCrossEntropy, WeightedSum
from utils.build import build
from utils.configuration import plain
from utils.overrides import CONFIGURATION

LOSSES = sorted(file.stem for file in (CONFIGURATION / "task/loss").glob("*.yaml"))


@pytest.fixture
def classes():
    """Logits (20, 4) and classes (20,)."""
    torch.manual_seed(0)
    return torch.randn(20, 4, requires_grad=True), torch.randint(0, 4, (20,))


@pytest.fixture
def masks():
    """Logits (2, 3, 6, 5) and masks (2, 6, 5) with some ignored pixels."""
    torch.manual_seed(0)
    target = torch.randint(0, 3, (2, 6, 5))
    target[0, :2] = 255
    return torch.randn(2, 3, 6, 5, requires_grad=True), target


def test_focal_with_gamma_0_is_cross_entropy(classes):
    logits, target = classes
    assert torch.isclose(Focal(gamma=0)(logits, target), F.cross_entropy(logits, target))
    weighted = Focal(gamma=0)
    weighted.weight = torch.tensor([1.0, 2.0, 0.5, 3.0])
    assert torch.isclose(weighted(logits, target), F.cross_entropy(logits, target, weighted.weight))


def test_focal_cares_less_for_what_is_sure(classes):
    target = classes[1]
    sure, unsure = 8 * F.one_hot(target, 4) - 4.0, 1.0 * F.one_hot(target, 4)
    plain, focal = Focal(gamma=0), Focal(gamma=2)
    assert focal(sure, target) / plain(sure, target) < 1e-4 < focal(unsure, target) / plain(unsure, target)


def test_focal_takes_shares_as_it_takes_classes(classes):
    logits, target = classes
    assert torch.isclose(Focal()(logits, F.one_hot(target, 4).float()), Focal()(logits, target))


def test_binary_focal_and_asymmetric_are_bce_where_they_do_not_focus(classes):
    logits, target = classes[0], F.one_hot(classes[1], 4).float()
    plain = F.binary_cross_entropy_with_logits(logits, target)
    assert torch.isclose(BinaryFocal(alpha=-1, gamma=0)(logits, target), plain)
    assert torch.isclose(Asymmetric(0, 0, 0)(logits, target), plain, atol=1e-5)


def test_asymmetric_lets_unlikely_absent_labels_go():
    unlikely = torch.full((3, 2), -4.0, requires_grad=True)
    Asymmetric()(unlikely, torch.zeros(3, 2)).backward()
    assert (unlikely.grad == 0).all()


def test_pixel_cross_entropy_is_torchs_over_the_pixels_that_count(masks):
    logits, target = masks
    assert torch.isclose(PixelCrossEntropy()(logits, target), F.cross_entropy(logits, target, ignore_index=255))
    weighted = PixelCrossEntropy()
    weighted.weight = torch.tensor([1.0, 2.0, 0.5])
    wanted = F.cross_entropy(logits, target, weighted.weight, ignore_index=255)
    assert torch.isclose(weighted(logits, target), wanted)


@pytest.mark.parametrize("name", ["pixel_cross_entropy", "dice", "jaccard", "lovasz", "dice_cross_entropy"])
def test_losses_of_masks_fall_as_the_mask_is_met_and_ignore_what_does_not_count(masks, name):
    loss, (logits, target) = made(name), masks
    right = 30.0 * F.one_hot(torch.where(target == 255, 0, target), 3).movedim(3, 1)
    assert loss(right, target) < 0.05 < loss(logits, target)
    elsewhere = logits.detach().clone()
    elsewhere[:, 1][target == 255] += 5
    assert torch.isclose(loss(elsewhere, target), loss(logits, target))
    assert loss(logits, torch.full_like(target, 255)).isfinite()


def test_jaccard_is_one_less_iou():
    logits = 100.0 * F.one_hot(torch.tensor([[0, 0, 1, 1]]), 2).movedim(2, 1)[..., None]
    assert JaccardLoss()(logits, torch.tensor([[[0], [1], [1], [1]]])).item() == pytest.approx(1 - (1 / 2 + 2 / 3) / 2)


def test_a_sum_counts_its_parts_by_their_shares(masks):
    parts = {"a": PixelCrossEntropy(), "b": JaccardLoss()}
    both = WeightedSum(parts, [2.0, 0.5])(*masks)
    assert torch.isclose(both, 2 * parts["a"](*masks) + parts["b"](*masks) / 2)
    with pytest.raises(ValueError, match="a number for each of a, b"):
        WeightedSum(parts, [1.0])


def made(name: str) -> nn.Module:
    with initialize_config_dir(str(CONFIGURATION), version_base="1.3"):
        return build(plain(compose(f"task/loss/{name}"))["task"]["loss"])


@pytest.mark.parametrize("name", LOSSES)
def test_every_named_loss_has_gradients(name, classes, masks):
    logits, target = classes
    if name in ("bce", "binary_focal", "asymmetric"):
        target = F.one_hot(target, 4).float()
    if name in ("mse", "mae", "huber"):
        target = torch.randn(20, 4)
    if name in ("pixel_cross_entropy", "dice", "jaccard", "lovasz", "dice_cross_entropy"):
        logits, target = masks
    value = made(name)(logits, target)
    value.backward()
    assert value.isfinite() and logits.grad.isfinite().all() and logits.grad.any()


def test_balanced_weights_let_each_class_count_the_same():
    counts = torch.tensor([10, 30, 0, 60])
    weights = of_classes("balanced", counts)
    assert torch.allclose((weights * counts)[[0, 1, 3]], torch.tensor(100 / 3)) and (
        weights * counts
    ).sum() == pytest.approx(100)
    assert of_labels("balanced", torch.tensor([10.0, 50.0]), 100).tolist() == [9, 1]


def test_given_weights_reach_the_loss_or_are_refused():
    assert (
        of_classes([1.0, 2.0], torch.tensor([5, 5])).tolist() == [1, 2] and of_classes(None, torch.tensor([5])) is None
    )
    for wrong in ([1.0], [1.0, -1.0], [0.0, 0.0], [math.nan, 1.0]):
        with pytest.raises(ValueError, match=r"class_weights=\[.*\]: give 2 numbers.* and not all of them 0"):
            of_classes(wrong, torch.tensor([5, 5]))
    both = WeightedSum({"a": PixelCrossEntropy(), "b": JaccardLoss()})
    give(both, "weight", torch.tensor([1.0, 2.0]))
    assert both.losses["a"].weight.tolist() == [1, 2]
    with pytest.raises(ValueError, match="JaccardLoss takes none"):
        give(JaccardLoss(), "weight", torch.ones(2))
