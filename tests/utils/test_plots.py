import io
import sys

import numpy as np
import pytest
from PIL import Image

from utils.charts import PALETTE, Axis, Chart, Matrix, Series
from utils.plots import draw, png


def pixels(chart):
    return np.asarray(Image.open(io.BytesIO(png(chart))).convert("RGB"))


def share(image, color):
    wanted = [int(PALETTE[color][0][start : start + 2], 16) for start in (1, 3, 5)]
    return (np.abs(image.astype(int) - wanted).max(axis=2) <= 2).mean()


def reddish(image):
    red, _, blue = image.astype(int).transpose(2, 0, 1)
    return int((red > blue + 50).sum())


@pytest.mark.parametrize("kind", ["line", "marked", "bar", "step", "points"])
def test_every_kind_of_series_is_drawn_in_its_colour(kind):
    assert reddish(pixels(Chart("c", "", (Series("s", [0, 1, 2], [1, 3, 2], "accent", kind),)))) == 0
    assert reddish(pixels(Chart("c", "", (Series("s", [0, 1, 2], [1, 3, 2], "wrong", kind),)))) > 100


def test_points_are_drawn_larger_with_their_size():
    small, large = (
        reddish(pixels(Chart("c", "", (Series("s", [0.0, 1.0], [0.0, 1.0], "wrong", "points", size=[size, size]),))))
        for size in (0.1, 1.0)
    )
    assert large > 3 * small


def test_two_hundred_classes_are_drawn_with_a_name_each():
    names = tuple(f"class {number}" for number in range(200))
    figure = draw(Matrix("m", "", np.eye(200), names))
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == list(names)
    assert figure.get_size_inches()[1] * 150 / 200 > 12  # pixels a row


def test_cells_of_two_classes_show_their_figures():
    texts = [text.get_text() for text in draw(Matrix("m", "", np.array([[1200, 3], [0, 9]]), ("a", "b"))).axes[0].texts]
    assert sorted(texts) == ["1,200", "3", "9"]


def test_right_is_green_and_wrong_is_red():
    image = pixels(Matrix("m", "", np.array([[1, 1], [0, 1]]), ("a", "b")))
    assert share(image, "right-1") > 0.1
    assert share(image, "wrong-1") > 0.05


@pytest.mark.parametrize("name", ["$5 and $10", "猫", "a_b^c", "", "<b>"])
def test_any_class_name_can_be_drawn(name):
    chart = Chart("c", name, (Series(name, [name], [1.0], kind="bar"),), Axis(name, categories=(name,)))
    assert png(chart).startswith(b"\x89PNG")
    assert png(Matrix("m", name, np.eye(2), (name, "other"))).startswith(b"\x89PNG")


def test_nothing_is_left_open_in_pyplot():
    png(Chart("c", "", (Series("s", [0, 1], [0, 1]),)))
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or not pyplot.get_fignums()


def test_a_logarithmic_axis_over_many_powers_of_ten_is_named():
    figure = draw(Chart("c", "", (Series("s", [1, 2], [0.1, 1e14]),), y=Axis(log=True)))
    [axes] = figure.axes
    low, high = axes.get_ylim()
    assert 3 <= sum(low <= value <= high for value in axes.get_yticks()) <= 12


def test_a_logarithmic_axis_is_named_in_plain_numbers():
    figure = draw(Chart("c", "", (Series("s", [1.0, 30.0], [1.0, 2.0]),), Axis(log=True, range=(0.0, 1.5))))
    figure.canvas.draw()
    axes = figure.axes[0]
    assert axes.get_xscale() == "log" and axes.get_xlim() == pytest.approx((1.0, 10**1.5))
    named = {label.get_text() for label in axes.get_xticklabels()} | {""}
    assert {"1", "2", "5", "10", "20"} <= named and not any("$" in text for text in named)


def test_points_with_a_side_carry_their_name():
    series = Series("s", [1.0, 2.0], [1.0, 2.0], kind="points", labels=["near", "far"], sides=["bottom right", None])
    assert [text.get_text() for text in draw(Chart("c", "", (series,))).axes[0].texts] == ["near"]
