import pytest

from models.curves import curve_charts


@pytest.fixture
def metrics(tmp_path):
    def write(text):
        file = tmp_path / "metrics.csv"
        file.write_text(text)
        return file

    return write


def test_a_figure_of_several_stages_is_one_chart_and_the_loss_comes_first(metrics):
    charts = curve_charts(metrics("step,epoch,lr,train/loss,val/accuracy,val/loss\n1,0,.1,2,,\n2,0,.1,1,0.5,1.5\n"))
    assert [chart.title for chart in charts] == ["Loss", "Accuracy (val)", "Learning rate"]
    assert [(series.name, series.x, series.y) for series in charts[0].series] == [
        ("train", [1, 2], [2, 1]),
        ("val", [2], [1.5]),
    ]


def test_only_shares_are_shown_in_per_cent(metrics):
    charts = curve_charts(metrics("step,val/loss,val/accuracy,val/rmse\n1,.5,.5,.5\n"))
    assert {chart.title: chart.y.percent for chart in charts} == {
        "Loss (val)": False,
        "Accuracy (val)": True,
        "RMSE (val)": False,
    }


def test_a_share_that_never_changes_keeps_to_its_scale_and_a_heads_figure_is_named_as_such(metrics):
    (chart,) = curve_charts(metrics("step,val/digit/accuracy\n1,1\n2,1\n"))
    assert chart.title == "Accuracy, digit (val)" and chart.y.percent
    low, high = chart.y.range
    assert 0.9 < low < 1 <= high < 1.01


def test_a_long_curve_is_thinned_without_changing_its_mean(metrics):
    rows = "\n".join(f"{step},{step % 7}" for step in range(6000))
    (series,) = curve_charts(metrics(f"step,train/loss\n{rows}\n"))[0].series
    assert len(series.x) == 400
    assert sum(series.y) / 400 == pytest.approx(3, abs=0.01)


def test_a_diverged_loss_leaves_a_curve_of_what_was_finite(metrics):
    (series,) = curve_charts(metrics("step,train/loss\n1,2\n2,nan\n3,inf\n"))[0].series
    assert series.y == [2]


def test_a_figure_may_be_called_anything(metrics):
    (chart,) = curve_charts(metrics("step,lr-AdamW/pg1 (x)\n1,2\n"))
    assert chart.name == "curve_lr-AdamW_pg1_x_"


def test_nothing_logged_is_no_chart(metrics):
    assert curve_charts(metrics("step\n")) == []
