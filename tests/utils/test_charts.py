import json
import math

import numpy as np
import pytest

from utils.charts import PALETTE, Axis, Chart, Matrix, Series, shortened
from utils.plots import draw


def test_a_figure_is_plain_json_without_nan():
    spec = Chart("a", "A", (Series("s", np.arange(3.0), np.array([1, np.nan, 3])),)).spec()
    assert json.loads(json.dumps(spec, allow_nan=False))["data"][0]["y"] == [1, None, 3]


def test_every_colour_of_a_figure_is_one_of_the_palette():
    matrix = Matrix("m", "M", np.array([[3, 1], [0, 2]]), ("a", "b"))
    chart = Chart("c", "C", tuple(Series(color, [0, 1], [0, 1], color) for color in PALETTE))
    text = json.dumps([matrix.spec(), chart.spec()])
    named = {part.split(")")[0] for part in text.split("var(--")[1:]}
    assert named <= set(PALETTE)
    assert {"right-0", "right-1", "wrong-0", "wrong-1", "raised"} <= named


def test_right_and_wrong_cells_have_their_own_scales_and_empty_ones_none():
    (right, _, top), (wrong, _, worst) = Matrix("m", "", np.array([[90, 2], [0, 8]]), ("a", "b")).parts()
    assert (top, worst) == (90, 2)
    assert np.isnan(right[0, 1])
    assert np.isnan(wrong[1, 0])
    assert wrong[0, 1] == 2


def test_a_matrix_without_a_mistake_can_be_drawn():
    assert [top for _, _, top in Matrix("m", "", np.eye(2), ("a", "b"), percent=True).parts()] == [1.0, 1.0]


def test_numbers_are_written_into_the_cells_of_few_classes_only():
    few, many = (Matrix("m", "", np.eye(k), tuple(map(str, range(k)))).spec()["data"][0] for k in (20, 21))
    assert "texttemplate" in few
    assert "texttemplate" not in many


def test_a_class_name_is_no_markup():
    axis = Chart("c", "", (Series("s", ["<b>x"], [1.0]),), Axis(categories=("<b>x",))).spec()["layout"]["xaxis"]
    assert axis["categoryarray"] == ["&lt;b&gt;x"]


@pytest.mark.parametrize("name", ["short", "a much longer class name 07"])
def test_a_name_is_shortened_so_that_its_end_stays(name):
    assert len(shortened(name)) <= 24
    assert shortened(name)[-2:] == name[-2:]
    assert shortened("eager fp32 channels-last") == "eager fp32 channels-last"  # no engine is taken for another


def test_points_tell_their_names_and_write_those_that_have_a_side():
    series = Series("s", [1.0, 2.0], [3.0, 4.0], kind="points", labels=["<a>", "b"], sides=["top left", None])
    (trace,) = Chart("c", "", (series,)).spec()["data"]
    assert trace["hovertext"] == ["&lt;a&gt;", "b"] and trace["text"] == ["&lt;a&gt;", ""]
    assert trace["mode"] == "markers+text" and trace["textposition"][0] == "top left"


@pytest.mark.parametrize(("highest", "step"), [(100.0, "D2"), (1e7, 2), (1e14, 4)])
def test_a_logarithmic_axis_over_many_powers_of_ten_names_some_of_these_alone(highest, step):
    series = (Series("s", [1, 2, 3], [1.0, highest, math.nan]),)
    assert Chart("c", "", series, y=Axis(log=True)).spec()["layout"]["yaxis"]["dtick"] == step


def test_an_axis_can_be_logarithmic():
    layout = Chart("c", "", (Series("s", [1, 10], [1, 2]),), Axis(log=True, range=(0.0, 1.0))).spec()["layout"]
    assert layout["xaxis"]["type"] == "log" and layout["xaxis"]["range"] == [0.0, 1.0]
    assert layout["xaxis"]["ticktext"] == ["1", "2", "5", "10"]  # and not 2 for 20
    layout = Chart("c", "", (Series("s", [7, 9], [1, 2]),), Axis(log=True, range=(0.84, 0.97))).spec()["layout"]
    assert layout["xaxis"]["ticktext"] == ["7", "8", "9"]
    assert "type" not in layout["yaxis"]


@pytest.mark.parametrize(("last", "step"), [(4, 1), (400, None)])
def test_nothing_is_named_between_two_whole_numbers(last, step):
    chart = Chart("c", "", (Series("s", [1, last], [0.2, 0.1]),), Axis("epoch", whole=True))
    assert chart.spec()["layout"]["xaxis"].get("dtick") == step
    named = [text.get_text() for text in draw(chart).axes[0].get_xticklabels()]
    assert named and all(text.isdigit() or text.startswith("−") for text in named)
