"""What a trial goes on with when it takes over a better one's weights."""

import math
from random import Random

import pytest

from models.run import Run
from tuning.orders import Order
from tuning.population import explored
from tuning.space import Parameter
from tuning.trial import run_trial

LR = Parameter("optimizers.lr", "float", 1e-4, 1e-1, log=True)
BETA = Parameter("optimizers.beta", "float", 0.8, 0.99)
SIZE = Parameter("datamodule.augment.crop.pixels", "int", 1, 9, step=2)
WIDTH = Parameter("models.num_filters", "int", 4, 64)
KIND = Parameter("optimizers", "choice", choices=("sgd", "adamw"))
SPACE = [LR, BETA, SIZE, WIDTH, KIND]
STOPPED = ("first", 4)
VALUES = {LR.key: 0.01, BETA.key: 0.9, SIZE.key: 5, WIDTH.key: 16, KIND.key: "sgd"}


def test_numbers_move_within_their_range_and_what_belongs_to_the_weights_stays():
    rng = Random(0)
    moved = [explored(SPACE, VALUES, rng) for _ in range(200)]
    assert all(1e-4 <= one[LR.key] <= 0.1 and 0.8 <= one[BETA.key] <= 0.99 for one in moved)
    assert {one[SIZE.key] for one in moved} <= {1, 3, 5, 7, 9} and len({one[SIZE.key] for one in moved}) > 2
    assert all((one[WIDTH.key], one[KIND.key]) == (16, "sgd") for one in moved)
    steps = [one[LR.key] / 0.01 for one in moved]
    assert sum(math.isclose(step, 0.8) for step in steps) > 40 and sum(math.isclose(step, 1.2) for step in steps) > 40
    assert sum(step < 0.5 for step in steps) > 5  # drawn anew


def test_a_parameter_that_a_trial_has_not_is_not_given_to_it():
    assert explored(SPACE, {KIND.key: "sgd"}, Random(0)) == {KIND.key: "sgd"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            'tune.space=["models.num_filters=range(2,9)"]',
            r"tune\.space has none that can be: add one of optimizers\.\*",
        ),
        ("tune.perturb_epochs=3", r"tune\.perturb_epochs=3: a trial has 3 epochs"),
        ("optimizers.option=auto", r"optimizers\.option=auto chooses at the beginning"),
    ],
)
def test_a_population_that_cannot_be_is_refused(problem, given, message):
    with pytest.raises(ValueError, match=message):
        problem("tune.scheduler=pbt", given)


def test_a_trial_goes_on_from_anothers_weights_at_its_own_rate(problem, tmp_path):
    """At next to no rate the second trial stays where the first one was."""
    first, second, seen = tmp_path / "first", tmp_path / "second", {}

    def order(folder, rate, **fields):
        given = ("schedulers=constant", "datamodule.batch_size=8", "trainer.max_epochs=6")
        return Order(0, problem(*given).of_trial({"optimizers.lr": rate}), str(folder), handed_on=1, **fields)

    def report(name):
        return lambda epoch, figures: not seen.update({(name, epoch): figures["val/loss"]}) and (name, epoch) != STOPPED

    assert run_trial(order(first, 0.02), report("first")).stopped and seen[STOPPED] < 2.2
    state = tmp_path / "state"
    state.mkdir()
    for file in (Run(first).last, Run(first).configuration_file):
        file.rename(state / file.name)
    ending = run_trial(order(second, 1e-9, goes_on_from=str(state)), report("second"))
    assert ending.error == "" and [*seen][4:] == [("second", 5), ("second", 6)]
    assert seen["second", 5] == pytest.approx(seen[STOPPED], abs=0.03)
    assert seen["second", 6] == pytest.approx(seen["second", 5], abs=0.005)
