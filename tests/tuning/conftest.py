"""Searches on a few digits by a tiny network, as the command line would have them."""

import pytest

from tuning.problem import Problem
from utils.configuration import composed

TINY = (
    "datamodule.n_samples=240",
    "models.num_filters=4",
    "models.dense_width=8",
    "models.blocks=1",
    "trainer.max_epochs=3",
    "trainer.log_every_n_steps=1",
    "trainer.accelerator=cpu",
    "tune.trials=4",
    'tune.space=["optimizers.lr=tag(log, interval(1e-4, 1e-1))"]',
)


@pytest.fixture
def tiny(places):
    """The overrides of a small search."""
    return (*TINY, *places)


@pytest.fixture
def problem(tiny):
    """Makes a checked search of overrides on top of the small one."""

    def made(*overrides: str) -> Problem:
        given = [*tiny, *overrides]
        return Problem(composed(given), {"optimizers": "adamw"}, lambda own: composed(given, own)).check()

    return made
