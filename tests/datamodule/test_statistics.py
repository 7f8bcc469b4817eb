import numpy as np
import pytest

from datamodule.statistics import mean_and_std, spread_out


def pictures():
    return np.random.default_rng(0).integers(0, 256, (50, 6, 7, 3), dtype=np.uint8) // np.array([1, 2, 4], np.uint8)


def test_mean_and_std_are_exact_to_four_digits():
    mean, std = mean_and_std(np.array_split(pictures(), 4))
    np.testing.assert_allclose(mean, (pictures() / 255).mean((0, 1, 2)), atol=5.1e-5)
    np.testing.assert_allclose(std, (pictures() / 255).std((0, 1, 2)), atol=5.1e-5)


def test_the_order_of_images_changes_nothing():
    assert mean_and_std([pictures()]) == mean_and_std([pictures()[::-1][:20], pictures()[::-1][20:]])


def test_a_channel_that_never_changes_can_be_divided_by():
    assert mean_and_std([np.full((3, 4, 4, 1), 51, np.uint8)]) == ([0.2], [1.0])


@pytest.mark.parametrize(("count", "rows"), [(3, [0, 5, 10]), (1, [0]), (50, list(range(11)))])
def test_rows_are_taken_at_even_distances(count, rows):
    assert spread_out(np.arange(11), count).tolist() == rows
