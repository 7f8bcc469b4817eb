import numpy as np
import pytest

from models.value_report import overlap, residuals, value_distribution
from utils.report import write_report


def charts(section):
    return section.blocks[0].charts


def test_residuals_are_predicted_less_true_and_groups_tell_the_mean_truth():
    predicted = np.arange(40.0)[:, None]
    residual, held = charts(residuals(predicted, predicted * 2, ["age"]))
    assert residual.series[1].y.tolist() == (-np.arange(40.0)).tolist()
    assert held.series[1].x == [4 * k + 1.5 for k in range(10)] and held.series[1].y == [
        2 * x for x in held.series[1].x
    ]


def test_fewer_images_than_groups_make_no_empty_group():
    [_, held] = charts(residuals(np.array([[1.0], [2.0]]), np.array([[1.0], [3.0]]), ["age"]))
    assert held.series[1].y == [1.0, 3.0]


def test_splits_share_their_bins_and_each_adds_up_to_one():
    found = {"train": np.random.default_rng(0).normal(size=(200, 2)), "test": np.full((3, 2), 9.0)}
    for chart in charts(value_distribution(found, ["x", "y"])):
        assert [series.name for series in chart.series] == ["train", "test"]
        assert len({tuple(series.x) for series in chart.series}) == 1
        assert all(sum(series.y) == pytest.approx(1) for series in chart.series)


def test_the_overlap_leaves_out_images_without_the_class():
    confusion = np.array([[[8, 0], [0, 0]], [[4, 2], [2, 4]], [[0, 0], [4, 4]]])
    first, second = charts(overlap(confusion, ["ground", "thing"]))
    assert sum(first.series[0].y) == pytest.approx(1) and sum(second.series[0].y) == pytest.approx(1)
    assert [centre for centre, share in zip(second.series[0].x, second.series[0].y, strict=True) if share] == (
        pytest.approx([0.5], abs=0.07)
    )


def test_one_value_for_all_images_still_makes_a_page(tmp_path):
    same = np.ones((5, 1))
    page = write_report(tmp_path, "a", [residuals(same, same, ["x"]), value_distribution({"train": same}, ["x"])])
    assert page.is_file() and (tmp_path / "values_0.png").is_file()
