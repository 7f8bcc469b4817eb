"""What every strategy promises, over every yaml of the group."""

from dataclasses import replace

import numpy as np
import pytest

from active.view import View, unit
from tests.active.views import view
from utils.build import build
from utils.configuration import option
from utils.overrides import options

STRATEGIES = options("active/strategy")


@pytest.fixture(params=STRATEGIES)
def strategy(request):
    return build(option("active/strategy", request.param))


def picks(strategy, seen: View, count: int, seed: int = 0):
    return strategy.pick(seen, count, np.random.default_rng(seed))


@pytest.mark.parametrize("model", [True, False], ids=["with a model", "without"])
@pytest.mark.parametrize("count", [1, 7, 54])
def test_picks_as_many_as_asked_from_the_pool_and_none_twice(strategy, count, model):
    seen = view(model=model)
    found = picks(strategy, seen, count)
    assert len(found.rows) == len(found.score) == len(set(found.rows.tolist())) == count
    assert set(found.rows.tolist()) <= set(seen.pool.tolist())
    assert found.why and np.isfinite(found.score).all()


def test_picks_without_any_label(strategy):
    found = picks(strategy, view(labelled=0, model=False), 5)
    assert len(set(found.rows.tolist())) == 5


def test_the_same_seed_picks_the_same(strategy):
    assert picks(strategy, view(), 9).rows.tolist() == picks(strategy, view(), 9).rows.tolist()


@pytest.mark.parametrize("options", [{}, {"balance": True}], ids=["plain", "balanced"])
def test_the_order_of_the_images_changes_nothing(strategy, options):
    seen = replace(view(), **options)
    order = np.random.default_rng(5).permutation(len(seen))
    there, here = picks(strategy, seen, 9), picks(strategy, seen.take(order), 9)
    assert order[here.rows].tolist() == there.rows.tolist()


def test_equal_images_survive(strategy):
    seen = view(images=30)
    twice = np.concatenate([np.arange(30), np.arange(6, 30)])
    doubled = replace(seen.take(twice), key=np.arange(54).astype(np.uint64))
    assert len(set(picks(strategy, doubled, 20).rows.tolist())) == 20


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_constant_embeddings_survive(strategy, value):
    constant = unit(np.full((60, 8), value))
    seen = replace(view(), embedding=constant, features=np.full((60, 8), value), probs=np.full((60, 4), 0.25))
    assert len(set(picks(strategy, seen, 12).rows.tolist())) == 12


def test_more_than_the_pool_is_an_error_that_tells_the_way_out(strategy):
    with pytest.raises(ValueError, match="asked for 55 images but the pool holds 54; lower active.batch"):
        picks(strategy, view(), 55)


def test_one_class_only_survives(strategy):
    seen = view(classes=1)
    assert len(set(picks(strategy, seen, 10).rows.tolist())) == 10


def test_a_pool_of_one_image_gives_it(strategy):
    seen = view(images=7)
    assert picks(strategy, seen, 1).rows.tolist() == [6]


def test_what_is_cheap_is_picked_rather(strategy):
    """Half of the pool costs a ten-thousandth."""
    seen = view()
    cheap = np.where(np.arange(60) % 2, 1e4, 1.0)
    found = picks(strategy, replace(seen, worth=cheap), 9)
    assert (found.rows % 2).mean() >= 0.8


def test_the_batch_of_a_larger_pool_than_is_looked_at_is_whole():
    for name in ("max_herding", "uherding", "prob_cover", "dcom"):
        small = build(option("active/strategy", name) | {"most_reference": 20, "most_candidates": 10})
        assert len(set(picks(small, view(), 15).rows.tolist())) == 15
