"""How figures are drawn: the scale follows what they span."""

import math

import pytest

from tuning.charts import figure_axis
from utils.charts import Series


@pytest.mark.parametrize(
    ("values", "log"),
    [
        ([2.0, 0.5, 0.01], True),
        ([2.0, 0.5, 0.2], False),
        ([0.9, 0.99], False),
        ([1.0, 0.0], False),
        ([math.nan, 3.0, 0.01], True),
        ([], False),
    ],
)
def test_figures_over_magnitudes_get_a_logarithmic_scale(values, log):
    assert figure_axis("val/loss", [Series("a", range(len(values)), values)]).log is log
