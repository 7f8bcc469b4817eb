from itertools import chain

import numpy as np
import pytest

from datamodule.sampling import EVALUATION, EvaluationBatches, TrainingBatches, class_weights, systematic_draw


def batches(rows=range(100, 150), size=8, position=(0, 0), seed=0, rank=0, world=1, weights=None):
    return TrainingBatches(np.array(rows), size, seed, lambda length: position, rank, world, weights)


def rows_of(keys):
    return [key.row.tolist() for key in keys]


def test_an_epoch_shows_each_sample_at_most_once_in_full_batches():
    shown = rows_of(batches())
    assert [len(batch) for batch in shown] == [8] * 6 and len(batches()) == 6
    flat = list(chain(*shown))
    assert len(set(flat)) == 48 and set(flat) <= set(range(100, 150))


def test_what_the_last_batch_leaves_out_changes_by_epoch():
    left_out = [set(range(100, 150)) - set(chain(*rows_of(batches(position=(epoch, 0))))) for epoch in range(4)]
    assert len({frozenset(rows) for rows in left_out}) > 1


def test_fewer_samples_than_a_batch_make_one_batch():
    assert sorted(rows_of(batches(rows=range(5)))[0]) == [0, 1, 2, 3, 4]


def test_the_order_depends_on_seed_and_epoch_alone():
    assert rows_of(batches()) == rows_of(batches())
    assert rows_of(batches()) != rows_of(batches(position=(1, 0)))
    assert rows_of(batches()) != rows_of(batches(seed=1))


@pytest.mark.parametrize("done", [0, 1, 5, 6])
def test_a_position_within_an_epoch_leaves_exactly_the_remaining_batches(done):
    assert rows_of(batches(position=(3, done))) == rows_of(batches(position=(3, 0)))[done:]


def test_the_position_is_asked_when_iteration_starts_and_not_later():
    place = [(0, 2)]
    sampler = TrainingBatches(np.arange(50), 8, 0, lambda length: place[0])
    started = iter(sampler)
    place[0] = (9, 0)
    assert rows_of(started) == rows_of(batches(rows=range(50)))[2:]


@pytest.mark.parametrize("weights", [None, np.linspace(0.01, 1, 50)], ids=["plain", "weighted"])
def test_processes_cut_the_same_global_batches(weights):
    alone = rows_of(batches(size=12, weights=weights))
    parts = [rows_of(batches(size=4, rank=rank, world=3, weights=weights)) for rank in range(3)]
    assert [list(chain(*cut)) for cut in zip(*parts, strict=True)] == alone


def test_every_process_gets_as_many_batches_when_samples_are_few():
    parts = [rows_of(batches(rows=range(5), size=4, rank=rank, world=3)) for rank in range(3)]
    assert [len(part) for part in parts] == [1, 1, 1] and all(part[0] for part in parts)
    assert sorted(chain(*(part[0] for part in parts))) == [0, 1, 2, 3, 4]


def test_fewer_samples_than_processes_are_refused():
    with pytest.raises(ValueError, match="2 training images are too few for 3 processes"):
        batches(rows=range(2), world=3)


def test_evaluation_shows_every_row_once_and_in_order():
    assert rows_of(EvaluationBatches(np.arange(10), 4)) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert {key.epoch for key in EvaluationBatches(np.arange(10), 4)} == {EVALUATION}


@pytest.mark.parametrize("count", [3, 5, 10, 64])
def test_processes_share_the_evaluation_without_overlap_and_none_goes_empty(count):
    parts = [EvaluationBatches(np.arange(count), 16, rank, 3) for rank in range(3)]
    assert sorted(row for part in parts for batch in rows_of(part) for row in batch) == list(range(count))
    assert all(len(part) for part in parts)


def test_weights_even_out_the_classes():
    codes = np.array([0] * 90 + [1] * 9 + [2])
    keys = list(batches(rows=range(100), size=10, weights=class_weights(codes, 1.0)))
    drawn = np.bincount(codes[np.concatenate([key.row for key in keys])])
    assert np.abs(drawn - 100 / 3).max() <= 1


@pytest.mark.parametrize(("power", "share"), [(0.0, 0.9), (0.5, 0.75), (1.0, 0.5)])
def test_power_lies_between_natural_and_even_shares(power, share):
    codes = np.array([0] * 90 + [1] * 10)
    weights = class_weights(codes, power)
    assert weights[:90].sum() / weights.sum() == pytest.approx(share)


def test_a_sample_is_drawn_as_often_as_its_weight_says():
    weights = np.random.default_rng(0).random(50)
    picks, _ = systematic_draw(weights, 0.3)
    expected = 50 * weights / weights.sum()
    assert len(picks) == 50 and np.abs(np.bincount(picks, minlength=50) - expected).max() < 1


def test_samples_drawn_several_times_are_numbered():
    codes = np.array([0] * 98 + [1] * 2)
    keys = list(batches(rows=range(100), size=10, weights=class_weights(codes, 1.0)))
    rows, repeat = (np.concatenate([key[column] for key in keys]) for column in (1, 2))
    assert sorted(repeat[rows == 99]) == list(range((rows == 99).sum())) and (rows == 99).sum() > 20


def test_other_samples_are_drawn_in_another_epoch():
    weights = np.ones(40)
    weights[20:] = 0.1
    epochs = [rows_of(batches(rows=range(40), weights=weights, position=(epoch, 0))) for epoch in (0, 1)]
    assert len({frozenset(chain(*epoch)) for epoch in epochs}) == 2
