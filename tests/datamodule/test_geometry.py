import numpy as np
import pytest
import torch

from datamodule import geometry
from datamodule.geometry import AlternatingFlip, AutoCrop, Flip, PadCrop, RandomResizedCrop, resample, whole_pixels
from datamodule.randomness import Draws

MODES = {"reflect": "reflect", "edge": "edge", "constant": "constant"}


def draws(count, epoch=0, aspect=1.0, repeat=0):
    return Draws(0, np.full(count, epoch), np.arange(count), np.full(count, repeat), np.full(count, aspect))


def pictures(count=16, height=8, width=10, channels=3):
    pixels = np.random.default_rng(0).integers(0, 256, (count, height, width, channels), dtype=np.uint8)
    return torch.from_numpy(pixels).permute(0, 3, 1, 2)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_pad_crop_gives_each_sample_its_window_of_the_padded_picture(mode, channels):
    image = pictures(channels=channels)
    moved, _ = PadCrop(3, mode)(image, torch.zeros(16), draws(16))
    top, left = np.floor(draws(16).uniform(2) * 7).astype(int).T
    for number, one in enumerate(image.permute(0, 2, 3, 1).numpy()):
        padded = np.pad(one, ((3, 3), (3, 3), (0, 0)), mode=MODES[mode])
        window = padded[top[number] : top[number] + 8, left[number] : left[number] + 10]
        np.testing.assert_array_equal(moved[number].permute(1, 2, 0).numpy(), window)


def test_pad_crop_reaches_every_shift():
    top, left = np.floor(draws(2000).uniform(2) * 9).astype(int).T
    assert set(top) == set(left) == set(range(9))


def test_reflecting_more_than_the_picture_holds_is_refused():
    with pytest.raises(ValueError, match="cannot reflect 8 pixels of a 8 x 10 image"):
        PadCrop(8).fitted(8, 10)


@pytest.mark.parametrize(("vertical", "axis"), [(False, 3), (True, 2)])
def test_flip_mirrors_some_samples_and_leaves_the_others(vertical, axis):
    image = pictures(64)
    moved, _ = Flip(vertical=vertical)(image, torch.zeros(64), draws(64))
    flipped = (moved == image.flip(axis)).flatten(1).all(1)
    kept = (moved == image).flatten(1).all(1)
    assert (flipped ^ kept).all() and 16 < flipped.sum() < 48


@pytest.mark.parametrize("probability", [0.0, 1.0])
def test_flip_never_and_always(probability):
    image = pictures()
    moved, _ = Flip(probability)(image, torch.zeros(16), draws(16))
    assert torch.equal(moved, image.flip(3) if probability else image)


@pytest.mark.parametrize("second", [draws(64, epoch=1), draws(64, repeat=1)])
def test_alternating_flip_shows_the_other_side_next_time(second):
    image, flip = pictures(64), AlternatingFlip()
    now, then = (flip(image, torch.zeros(64), when)[0] for when in (draws(64), second))
    assert torch.equal(now, then.flip(3)) and not torch.equal(now, image) and not torch.equal(then, image)


def test_masks_move_with_their_pictures():
    image = pictures(32, channels=1)
    mask = image[:, 0].long()
    for transform in (PadCrop(2), Flip(), RandomResizedCrop((0.3, 0.9)).fitted(8, 10)):
        exact = transform.motion(8, 10, draws(32))(image, True)
        moved, target = transform(image, mask, draws(32))
        assert torch.equal(target, exact[:, 0].long()) and target.dtype == torch.int64 and target.shape == (32, 8, 10)
        assert not isinstance(transform, PadCrop | Flip) or torch.equal(target, moved[:, 0].long())


def test_masks_keep_their_classes_when_pictures_are_interpolated():
    image = pictures(32, channels=1)
    _, target = RandomResizedCrop((0.3, 0.9)).fitted(16, 20)(image, 9 * (image[:, 0] > 128).long(), draws(32))
    assert set(target.unique().tolist()) == {0, 9}


def test_mask_pixels_from_outside_count_as_ignored():
    _, target = PadCrop(2, "constant")(pictures(32), torch.zeros(32, 8, 10, dtype=torch.int64), draws(32))
    assert set(target.unique().tolist()) == {0, 255}


@pytest.mark.parametrize("aspect", [0.5, 1.0, 2.0, 9.0])
def test_resized_crops_keep_to_scale_ratio_and_picture(aspect):
    left, top, width, height = RandomResizedCrop().boxes(draws(5000, aspect=aspect)).T
    assert min(left.min(), top.min()) >= 0 and max((left + width).max(), (top + height).max()) <= 1 + 1e-9
    ratio = width * aspect / height
    assert ratio.min() >= 3 / 4 - 1e-9 and ratio.max() <= 4 / 3 + 1e-9
    assert (width * height).max() <= 1 and (width * height).min() >= min(0.08, 1 / aspect)


def test_resized_crops_are_distributed_as_torchvisions():
    from torchvision.transforms import RandomResizedCrop as Peer

    torch.manual_seed(0)
    peer = np.array([Peer.get_params(torch.empty(1, 100, 150), [0.08, 1.0], [3 / 4, 4 / 3]) for _ in range(3000)])
    left, top, width, height = RandomResizedCrop().boxes(draws(3000, aspect=1.5)).T
    ours, places = np.stack((top * 100, left * 150, height * 100, width * 150), 1), np.linspace(0.05, 0.95, 10)
    assert np.abs(np.quantile(ours, places, axis=0) - np.quantile(peer, places, axis=0)).max() < 7


@pytest.mark.parametrize(("height", "width"), [(8, 10), (60, 50)])
@pytest.mark.parametrize("channels", [1, 3, 4, 5])
def test_a_crop_of_everything_is_the_picture(height, width, channels):
    image = pictures(4, height, width, channels)
    whole = resample(image, np.tile([0, 0, width, height], (4, 1)), (height, width), exact=False)
    torch.testing.assert_close(whole.float(), image.float(), atol=0.01, rtol=0)


@pytest.mark.parametrize(("height", "width"), [(8, 8), (80, 160)])
def test_a_crop_shows_its_part_of_the_picture(height, width):
    image = pictures(1, height, width)
    box = np.array([[width // 4, height // 4, width // 2, height // 2]])
    part = resample(image, box, (height // 2, width // 2), exact=False)
    inside = image[:, :, height // 4 : height * 3 // 4, width // 4 : width * 3 // 4]
    torch.testing.assert_close(part.float(), inside.float(), atol=0.01, rtol=0)


def test_large_and_small_crops_are_scaled_alike(monkeypatch):
    smooth = torch.nn.functional.interpolate(pictures(8, 6, 6).float(), (60, 60), mode="bicubic").clamp(0, 255)
    boxes = whole_pixels(RandomResizedCrop((0.3, 1.0)).boxes(draws(8)), 60, 60)
    one_by_one = resample(smooth, boxes, (56, 52), exact=False)
    monkeypatch.setattr(geometry, "LARGE", 10**9)
    difference = (one_by_one - resample(smooth, boxes, (56, 52), exact=False)).abs()
    assert difference.max() < 6 and difference.mean() < 0.6


def test_boxes_of_whole_pixels_lie_in_the_picture():
    left, top, width, height = whole_pixels(RandomResizedCrop((0.001, 1.0)).boxes(draws(2000)), 7, 9).T
    assert min(left.min(), top.min()) == 0 and min(width.min(), height.min()) == 1
    assert (left + width).max() == 9 and (top + height).max() == 7


def test_auto_crop_shifts_small_images_and_resizes_large_ones():
    small, large = AutoCrop().fitted(32, 32), AutoCrop().fitted(224, 224)
    assert isinstance(small, PadCrop) and small.pixels == 4 and small.store_scale == 1
    assert isinstance(large, RandomResizedCrop) and large.store_scale == 1.15


def test_impossible_settings_are_refused():
    crop = RandomResizedCrop
    for make in (lambda: PadCrop(-1), lambda: Flip(1.5), lambda: crop((0.5, 1.2)), lambda: crop(ratio=(2, 1))):
        with pytest.raises(ValueError, match=r"1\.5|-1|scale|ratio"):
            make()
