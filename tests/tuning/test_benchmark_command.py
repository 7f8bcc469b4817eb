"""What benchmark.py refuses before anything is measured."""

import re

import pytest

from tuning.benchmark_command import measured
from tuning.benchmark_settings import BenchmarkSettings
from tuning.limits import Limits
from tuning.speed_table import SpeedTable

SMALL = ["test_vit", "test_resnet"]


@pytest.fixture
def settings(tmp_path):
    return lambda **given: BenchmarkSettings(
        models=SMALL, engines="eager", threads=1, device="cpu", file=str(tmp_path / "t.csv"), published=None, **given
    )


@pytest.mark.parametrize("given", [{}, {"max_params": 5.0}])
def test_a_limit_that_all_models_break_is_named_with_the_nearest_and_by_how_much(settings, given):
    told = "none of 2 models keeps it; the nearest is test_vit with 0.371 million, 37 times the limit"
    with pytest.raises(ValueError, match=rf"^limits\.parameters=0\.01: {re.escape(told)}$"):
        measured(settings(**given), Limits(parameters=0.01))


def test_where_the_setting_allows_even_less_it_is_named_and_not_the_limit(settings):
    with pytest.raises(ValueError, match=r"benchmark\.max_params=0\.001 leaves none of 2 models"):
        measured(settings(max_params=0.001), Limits(parameters=0.01))


def test_what_may_not_be_measured_needs_a_table(settings, tmp_path):
    with pytest.raises(ValueError, match=r"there is no table .*t\.csv: leave limits\.measure=false out"):
        measured(settings(), Limits(latency_ms=50, measure=False))
    assert list(tmp_path.iterdir()) == []


def test_what_may_not_be_measured_must_be_in_the_table(settings, tmp_path):
    with SpeedTable(tmp_path / "t.csv"):
        pass
    with pytest.raises(ValueError, match=r"t\.csv has no measurement of these models: leave limits\.measure=false out"):
        measured(settings(), Limits(latency_ms=50, measure=False))
