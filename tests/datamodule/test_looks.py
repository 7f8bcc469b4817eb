import numpy as np

from datamodule.decode import BadImage
from datamodule.looks import cosines, look_at, looks_of


def test_looks_come_in_the_order_of_the_rows_over_many_chunks(photograph):
    images = [photograph(seed, 16, 16) for seed in range(150)]
    rows = np.arange(150)[::-1]
    looks, bad = look_at(images.__getitem__, rows)
    alone, _ = look_at(images.__getitem__, np.array([149]))
    assert len(looks) == 150 and not bad
    assert looks.hash[0] == alone.hash[0]
    np.testing.assert_array_equal(looks.take(np.array([0])).small, alone.small)


def test_brightness_and_contrast_are_those_of_the_pixels():
    image = np.zeros((1, 32, 32, 3), np.uint8)
    image[:, :16] = 200
    looks = looks_of(image)
    assert (looks.darkest[0], looks.brightest[0], looks.contrast[0]) == (0, 200, 100)
    np.testing.assert_array_equal(looks.colour, [[100, 100, 100]])


def test_a_hash_ignores_brightness_and_turns_with_the_picture(photograph):
    image = (photograph(0, 32, 32) // 2)[None]
    plain, brighter, inverse = (looks_of(changed).hash[0] for changed in (image, image + 40, 255 - image))
    assert np.bitwise_count(plain ^ brighter) == 0
    assert np.bitwise_count(plain ^ inverse) == 63


def test_the_cosines_are_orthonormal():
    np.testing.assert_allclose(cosines() @ cosines().T, np.eye(8), atol=1e-6)


def test_an_unreadable_image_is_told_by_its_row(photograph):
    def read(row):
        if row == 7:
            raise BadImage("is empty")
        return photograph(row, 8, 8)

    looks, bad = look_at(read, np.array([3, 7, 9]))
    assert bad == {7: "is empty"} and len(looks) == 3


def test_gray_colour_and_further_channels_are_all_looked_at(photograph):
    gray = photograph(0, 32, 32)[..., :1]
    images = [gray, np.repeat(gray, 3, axis=2), np.repeat(gray, 2, axis=2), np.repeat(gray, 5, axis=2)]
    looks, _ = look_at(images.__getitem__, np.arange(4))
    assert len(set(looks.hash.tolist())) == 1
