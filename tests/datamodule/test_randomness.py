import numpy as np
import pytest

from datamodule.randomness import Draws, permutation, uniform


def draws(seed: int = 0, epoch: int = 0, index: list[int] | None = None, repeat: int = 0) -> Draws:
    rows = np.array(range(2000) if index is None else index)
    return Draws(seed, np.full(len(rows), epoch), rows, np.full(len(rows), repeat), np.ones(len(rows)))


def test_a_sample_draws_the_same_in_any_company():
    alone = uniform(3, 7, np.array([41]), 5, 4)
    together = uniform(3, 7, np.array([9, 41, 2]), 5, 4)
    np.testing.assert_array_equal(alone[0], together[1])


def test_asking_for_more_numbers_keeps_the_first_ones():
    np.testing.assert_array_equal(uniform(0, 0, np.arange(9), 1, 8)[:, :3], uniform(0, 0, np.arange(9), 1, 3))


def test_numbers_stay_the_same_over_versions_and_machines():
    known = [[0.7477272406535903, 0.5362427772075339]]
    np.testing.assert_array_equal(uniform(1, 2, np.array([3]), 4, 2), known)


def test_numbers_are_even_and_unrelated():
    numbers = uniform(0, 0, np.arange(50_000), 0, 4)
    assert (numbers >= 0).all() and (numbers < 1).all()
    counts = np.apply_along_axis(lambda column: np.histogram(column, 20, (0, 1))[0], 0, numbers)
    assert (np.abs(counts - 2500) < 5 * np.sqrt(2500)).all()
    assert np.abs(np.corrcoef(numbers.T) - np.eye(4)).max() < 0.025


@pytest.mark.parametrize("other", [draws(seed=1), draws(epoch=1), draws(repeat=1), draws().of("flip")])
def test_another_seed_epoch_repeat_or_name_gives_unrelated_numbers(other):
    assert abs(np.corrcoef(draws().uniform(1)[:, 0], other.uniform(1)[:, 0])[0, 1]) < 0.1


def test_lasting_numbers_stay_through_the_epochs():
    np.testing.assert_array_equal(draws(epoch=0).lasting(2), draws(epoch=5).lasting(2))
    assert (draws(seed=1).lasting(2) != draws().lasting(2)).all()


def test_a_permutation_holds_each_number_once_and_changes_by_epoch():
    first, second = permutation(0, 0, 1, 100), permutation(0, 1, 1, 100)
    assert sorted(first) == sorted(second) == list(range(100))
    assert (first != second).mean() > 0.9
