import pytest

from benchmarks.augment import RECIPES, compare


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_can_be_timed_beside_torchvisions(name):
    ours, theirs = compare(RECIPES[name], count=4, rounds=1)
    assert ours > 0 and theirs > 0
