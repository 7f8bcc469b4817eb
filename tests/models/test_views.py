"""Test-time augmentation: the views are really made, and undone where logits have places."""

import pytest
import torch
from torch import nn

from models.views import Views, shifted, training_moves, with_views

CORNER = torch.zeros(1, 1, 4, 4)
CORNER[0, 0, 1, 0] = 1.0


class Noted(nn.Module):
    """Answers the column sums and keeps what it was shown."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, image):
        self.seen.append(image)
        return image.sum((1, 2))


def test_a_shift_moves_by_whole_pixels_and_repeats_the_border():
    moved = shifted(CORNER, down=1, right=2)
    assert moved[0, 0].nonzero().tolist() == [[2, 0], [2, 1], [2, 2]]
    assert shifted(CORNER, 0, 0) is CORNER


def test_each_view_is_shown_once_and_the_mean_is_answered():
    net = Noted()
    views = Views(net, flip=True, pixels=1)
    answer = views(CORNER)
    assert len(net.seen) == 10 and len({str(image.tolist()) for image in net.seen}) > 7
    assert torch.equal(net.seen[0], CORNER) and torch.equal(net.seen[5], CORNER.flip(3))
    assert torch.allclose(answer, torch.stack([image.sum((1, 2)) for image in net.seen]).mean(0))
    assert views.name == "10 views (flip and shifts of 1 px)"


def test_logits_of_each_pixel_are_moved_back():
    inner = torch.zeros(1, 1, 6, 6)
    inner[0, 0, 2, 2] = 1.0
    assert torch.equal(Views(nn.Identity(), flip=True, pixels=1)(inner), inner)


@pytest.mark.parametrize(
    ("wanted", "augment", "name"),
    [
        (True, {"f": {"_target_": "datamodule.geometry.AlternatingFlip"}}, "2 views (flip)"),
        (True, {"f": {"_target_": "datamodule.geometry.Flip", "vertical": True}}, None),
        (True, {"c": {"_target_": "datamodule.geometry.PadCrop", "pixels": 4}, "f": None}, "5 views (shifts of 2 px)"),
        (True, None, None),
        (False, {"f": {"_target_": "datamodule.geometry.Flip"}}, None),
        (["flip"], None, "2 views (flip)"),
    ],
)
def test_only_views_that_training_made_are_taken_unless_named(wanted, augment, name):
    views = with_views(nn.Identity(), wanted, augment, side=64)
    assert (views and views.name) == name


def test_no_augmentation_teaches_no_view():
    assert training_moves({}) == training_moves(None) == []
