import numpy as np
import pytest

from active.curves import curve_of, difference, saved


def test_the_area_is_over_the_logarithm_of_the_labels():
    flat = curve_of("flat", [[(10, 0.8), (100, 0.8), (1000, 0.8)]])
    assert flat.area.tolist() == pytest.approx([0.8])
    rising = curve_of("rising", [[(10, 0.0), (100, 0.5), (1000, 1.0)]])
    assert rising.area.tolist() == pytest.approx([0.5])


def test_only_counts_that_all_seeds_have_are_compared():
    curve = curve_of("a", [[(10, 0.5), (20, 0.6), (30, 0.7)], [(10, 0.7), (30, 0.9)]])
    assert curve.labels.tolist() == [10, 30] and curve.mean.tolist() == pytest.approx([0.6, 0.8])


def test_labels_saved_are_told_in_words():
    reference = curve_of("random", [[(10, 0.5), (20, 0.8), (40, 0.9)]])
    better = curve_of("auto", [[(10, 0.8), (20, 0.95), (40, 0.96)]])
    assert [str(one) for one in saved(better, reference)][-1] == "90.0% takes 20 labels instead of 40: 50% saved"
    assert "is not reached" in str(saved(reference, better)[-1])


def test_the_range_holds_the_true_difference_as_often_as_it_says():
    rng, held = np.random.default_rng(0), 0
    for _ in range(500):
        common = rng.normal(size=10)
        found = difference(common + rng.normal(0.3, 0.5, 10), common + rng.normal(0.0, 0.5, 10))
        held += found.low <= 0.3 <= found.high
    assert 0.92 < held / 500 < 0.98
    assert difference(np.ones(1), np.zeros(1)) is None
