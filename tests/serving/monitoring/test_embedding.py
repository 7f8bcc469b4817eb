"""What an embedding tells of an image, by images whose values are known beforehand."""

import numpy as np
import pytest

from serving.monitoring.embedding import DIGITS, OF_ALL, columns, embed


def told(image) -> dict[str, float]:
    values = embed(image)
    return dict(zip(columns(len(values)), values.tolist(), strict=True))


def of_one_colour(*colour, side=60):
    return np.full((side, side, len(colour)), colour, np.uint8)


def test_of_an_image_of_one_colour_everything_is_known():
    found = told(of_one_colour(255, 0, 0))
    known = {"brightness": 0.333, "red": 0.667, "green": -0.333, "blue": -0.333}
    assert found == dict.fromkeys(columns(15), 0.0) | known


def test_contrast_and_sharpness_are_those_of_stripes():
    stripes = of_one_colour(0, side=32)
    stripes[:, ::2] = 255
    assert told(stripes) == dict.fromkeys(OF_ALL, 0.0) | {"brightness": 0.5, "contrast": 0.5, "sharpness": 1.0} | {
        name: pytest.approx(0, abs=0.06) for name in OF_ALL if name.startswith("light")
    }


@pytest.mark.parametrize("place", range(9))
def test_each_ninth_has_a_name(place):
    image = of_one_colour(0, side=60)
    row, column = divmod(place, 3)
    image[20 * row : 20 * row + 20, 20 * column : 20 * column + 20] = 255
    found = told(image)
    light = {name: found[name] for name in OF_ALL if name.startswith("light")}
    assert max(light, key=light.get) == [name for name in OF_ALL if name.startswith("light")][place]
    assert max(light.values()) == pytest.approx(8 / 9, abs=0.02)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 300, 3), (2, 2, 4), (500, 1, 2), (224, 224, 3)])
def test_every_shape_has_an_embedding_of_numbers_that_json_keeps(shape):
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    values = embed(image)
    assert len(values) == len(columns(len(values))) == len(OF_ALL) + (shape[2] if shape[2] > 1 else 0)
    assert np.isfinite(values).all() and [round(value, DIGITS) for value in values.tolist()] == values.tolist()
