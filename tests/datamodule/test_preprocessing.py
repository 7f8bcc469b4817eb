import io
import pickle
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from datamodule.preprocessing import Fit, Preprocessing, Squash, resize


def preprocessing(height=8, width=8, channels=3, **settings):
    return Preprocessing(height, width, channels, (0.5,) * channels, (0.2,) * channels, **settings)


def test_an_image_of_the_right_size_is_left_alone(picture):
    image = picture(0, 8, 8)
    assert preprocessing(crop=0.5).fit(image) is image


@pytest.mark.parametrize("size", [(8, 8), (5, 9), (16, 4), (1, 1)])
@pytest.mark.parametrize("image", [(12, 16), (16, 12), (3, 50), (8, 9), (100, 100)])
@pytest.mark.parametrize("crop", [1.0, 0.875])
def test_every_image_comes_out_in_the_asked_size(picture, size, image, crop):
    assert preprocessing(*size, crop=crop).fit(picture(0, *image)).shape == (*size, 3)


def test_resizes_the_shorter_side_and_crops_the_centre():
    image = np.zeros((16, 32, 1), np.uint8)
    image[:, 8:24] = 200
    assert preprocessing(8, 8, 1).fit(image)[:, 1:-1].min() == 200
    edges = preprocessing(8, 16, 1).fit(image)
    assert edges[:, :3].max() == 0 and edges[:, 13:].max() == 0


def test_crop_keeps_that_share_of_the_resized_image():
    image = np.zeros((100, 100, 1), np.uint8)
    image[25:75, 25:75] = 255
    assert (preprocessing(10, 10, 1, crop=0.5).fit(image)[1:-1, 1:-1] == 255).all()
    assert preprocessing(10, 10, 1, crop=1.0).fit(image).mean() == pytest.approx(64, abs=8)


@pytest.mark.parametrize(("size", "crop"), [(32, 1.0), (32, 0.875), (24, 0.9)])
def test_a_fit_is_torchvisions_resize_and_crop_within_rounding(size, crop):
    from torchvision.transforms import v2

    theirs = v2.Compose([v2.Resize(int(size / crop), v2.InterpolationMode.BICUBIC), v2.CenterCrop(size)])
    fit = preprocessing(size, size, interpolation="bicubic", crop=crop).fit
    for height, width in ((60, 90), (61, 90), (300, 201), (33, 32), (375, 500)):
        image = np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)
        gap = np.abs(fit(image).astype(int) - np.asarray(theirs(Image.fromarray(image))))
        assert gap.max() <= 1 and gap.mean() < 0.01


def photo(height: int, width: int) -> bytes:
    """A JPEG with little detail, as large photos have it."""
    small = np.random.default_rng(0).integers(0, 256, (height // 40, width // 40, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC).save(file, "JPEG", quality=92)
    return file.getvalue()


def test_a_scaled_decoding_is_declared_and_stays_close():
    shape = preprocessing(32, 32, interpolation="bicubic", crop=0.875)
    data, scaled = photo(600, 800), preprocessing(32, 32, interpolation="bicubic", crop=0.875, decode="scaled")
    assert shape.decode == "exact" and shape.read(data).shape == (600, 800, 3)
    assert scaled.read(data).shape == (75, 100, 3)  # an eighth: 72 rows would do
    gap = np.abs(scaled.fit(scaled.read(data)).astype(int) - shape.fit(shape.read(data)))
    assert 0 < gap.mean() < 3


def test_a_small_image_is_never_decoded_smaller_than_twice_what_is_needed():
    scaled = preprocessing(32, 32, decode="scaled")
    for height, width in ((63, 90), (100, 120), (200, 127), (129, 500)):
        decoded = scaled.read(photo(height, width)).shape
        least = scaled.enough(height, width)
        assert decoded[0] >= min(height, least[0]) and decoded[1] >= min(width, least[1])


def test_training_evaluates_on_scaled_decodings_where_they_are_declared(tmp_path):
    from datamodule.folder import Folder

    for name in "ab":
        (tmp_path / "photos" / name).mkdir(parents=True)
        (tmp_path / "photos" / name / "1.jpg").write_bytes(photo(600 + ord(name), 800))
    settings = {"root": str(tmp_path / "photos"), "height": 32, "width": 32, "val_share": 0.0, "test_share": 0.0,
                "cache_dir": str(tmp_path / "cache"), "interpolation": "bicubic"}  # fmt: skip
    data = Folder(**settings, decode="scaled")
    data.prepare()
    [batch] = data.rows_dataloader(np.arange(2))
    shape = data.preprocessing
    files = [(tmp_path / "photos" / path).read_bytes() for path in data.inventory.path]
    assert np.array_equal(batch.image.numpy(), np.stack([shape.fit(shape.read(file)) for file in files]))
    exact = replace(shape, decode="exact")
    assert not np.array_equal(batch.image.numpy(), np.stack([exact.fit(exact.read(file)) for file in files]))


def test_how_pixels_lie_in_memory_changes_nothing():
    four = np.random.default_rng(0).integers(0, 256, (30, 40, 4), dtype=np.uint8)
    first = four[:, :, :3]
    for image in (first, first[::-1], first[2:], first[:, ::2], first[:, :, ::-1], four[:, :, 1:]):
        for shape in (preprocessing(), preprocessing(8, 8, crop=0.5), preprocessing(30, 20, interpolation="bicubic")):
            assert np.array_equal(shape.fit(image), shape.fit(image.copy()))


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 7])
def test_every_channel_is_resized_alike(picture, channels):
    plane = picture(1)[:, :, :1]
    image = np.repeat(plane, channels, axis=2)
    resized = resize(image, 5, 6, "bilinear")
    assert resized.shape == (5, 6, channels)
    assert all(np.array_equal(resized[:, :, place], resized[:, :, 0]) for place in range(channels))


def test_a_fourth_channel_is_no_transparency():
    image = np.zeros((4, 4, 4), np.uint8)
    image[:, :, 0] = 100
    assert resize(image, 2, 2, "bilinear")[0, 0].tolist() == [100, 0, 0, 0]


def test_nearest_invents_no_values():
    image = np.random.default_rng(0).choice([3, 200], (9, 9, 1)).astype(np.uint8)
    assert set(resize(image, 5, 4, "nearest").ravel()) <= {3, 200}


def test_squash_keeps_the_whole_image(picture):
    image = picture(0, 30, 90)
    squash = Squash(10, 10, 3)
    assert squash.shape == squash(image).shape == (10, 10, 3)
    assert np.array_equal(squash(image), preprocessing().squash(image, 10, 10))


@pytest.mark.parametrize(("height", "width"), [(8, 8), (16, 24), (30, 10)])
def test_a_mask_goes_back_to_where_its_image_was_cut_from(height, width):
    fitting = Preprocessing(8, 8, 1, (0.5,), (0.5,), "nearest")
    image = np.zeros((height, width, 1), np.uint8)
    image[height // 2 :, width // 2 :] = 1
    mask = fitting.undo(fitting.fit(image)[:, :, 0], height, width, unseen=255)
    assert mask.shape == (height, width)
    seen = mask != 255
    assert np.array_equal(mask[seen], image[:, :, 0][seen])
    assert seen.sum() == min(height, width) ** 2


def test_keys_name_all_that_decides_the_pixels():
    base = [Fit(preprocessing()), Fit(preprocessing(9)), Fit(preprocessing(crop=0.9)), Squash(8, 8, 3), Squash(8, 8, 1)]
    other = [Fit(preprocessing(interpolation="bicubic")), Squash(8, 8, 3, "bicubic")]
    other.append(Fit(preprocessing(decode="scaled")))
    assert len({transform.key for transform in base + other}) == 8
    brighter = Preprocessing(8, 8, 3, (0.1,) * 3, (0.3,) * 3)
    assert Fit(brighter).key == Fit(preprocessing()).key
    assert pickle.loads(pickle.dumps(base[0])) == base[0]  # noqa: S301 our own


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"height": 0}, "holds no pixel"),
        ({"mean": (0.5,)}, r"mean \(0.5,\) .* a number for each of 3 channels"),
        ({"std": (0.5, 0.0, 0.5)}, "must be above 0"),
        ({"crop": 0.0}, r"crop 0.0 must lie in \(0, 1\]"),
        ({"crop": 1.5}, "crop 1.5"),
        ({"decode": "quick"}, "'quick' is none of exact, scaled"),
        ({"interpolation": "lanczos"}, "'lanczos' is none of bilinear, bicubic, nearest"),
    ],
)
def test_impossible_settings_are_refused_by_name(settings, said):
    usual = {"height": 8, "width": 8, "channels": 3, "mean": (0.5,) * 3, "std": (0.5,) * 3}
    with pytest.raises(ValueError, match=said):
        Preprocessing(**{**usual, **settings})
