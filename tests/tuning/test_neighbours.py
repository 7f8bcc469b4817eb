"""What lies close to a configuration."""

from random import Random

from tuning.neighbours import drawn, neighbour
from tuning.space import Parameter

LR = Parameter("optimizers.lr", "float", 1e-4, 1e-1, log=True)
WIDTH = Parameter("models.width", "int", 16, 128, step=16)
KIND = Parameter("models", "choice", choices=("a", "b", "c"))
DEPTH = Parameter("models.depth", "int", 1, 8, only_if={"models": ("b",)})
SPACE = [LR, WIDTH, KIND, DEPTH]
VALUES = {LR.key: 0.01, WIDTH.key: 64, KIND.key: "a"}


def test_half_of_the_values_stay_and_numbers_move_a_little_within_their_range():
    rng = Random(0)
    found = [neighbour(SPACE, VALUES, rng) for _ in range(400)]
    assert all(1e-4 <= one[LR.key] <= 0.1 and one[WIDTH.key] in range(16, 129, 16) for one in found)
    for key in (LR.key,):
        assert 0.4 < sum(one[key] == VALUES[key] for one in found) / len(found) < 0.6
    moved = sorted(one[LR.key] for one in found if one[LR.key] != 0.01)
    assert 0.002 < moved[len(moved) // 4] < 0.01 < moved[3 * len(moved) // 4] < 0.05
    assert {one[KIND.key] for one in found} == {"a", "b", "c"}


def test_what_the_trial_has_not_is_left_to_the_searcher():
    assert all(DEPTH.key not in neighbour(SPACE, VALUES, Random(seed)) for seed in range(20))


def test_values_from_the_whole_space_follow_the_conditions():
    rng = Random(0)
    found = [drawn(SPACE, rng) for _ in range(60)]
    assert all(1e-4 <= one[LR.key] <= 0.1 and one[WIDTH.key] in range(16, 129, 16) for one in found)
    assert all((DEPTH.key in one) == (one[KIND.key] == "b") for one in found)
