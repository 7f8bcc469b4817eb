"""The model has the weights that its schedule ended with, unless those of an earlier epoch are certainly better."""

import logging

import numpy as np
import pytest
import torch
from pytorch_lightning import Callback
from torch import nn

from models.calibration import fit_temperature, log_losses
from models.callbacks import the
from models.checkpoint import Checkpoints
from models.classification import classifier
from models.inference import Predictions
from models.keeping import CERTAIN, completed, keep, paired
from models.multilabel import Multilabel
from models.regression import Regression
from models.segmentation import Segmentation

HEAD = "net.head.weight"
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*does not have many workers", "ignore:.*LeafSpec", "ignore:.*smaller than the logging interval"
)


@pytest.fixture
def ended(fitted):
    """(overrides, what is done to the last layer, what to that of the best checkpoint) → kept, and both weights.

    The best checkpoint is said to be of epoch 1.
    """

    def end(*overrides, last=lambda weights: weights, best=lambda weights: weights):
        run, trainer, task, data = fitted("ended", "datamodule.n_samples=500", *overrides)
        data.trainer = None
        state = {name: tensor.clone() for name, tensor in task.state_dict().items()}
        earlier, later = (state | {HEAD: change(state[HEAD])} for change in (best, last))
        torch.save({"state_dict": earlier}, run.best)
        the(Checkpoints, trainer).best_epoch = 1
        task.load_state_dict(later)
        kept = keep(run, trainer, task, data)
        return kept, task.state_dict()[HEAD], earlier[HEAD], later[HEAD]

    return end


def wrong(weights):
    """Every answer is the next class's."""
    return weights.roll(1, 0)


def shaken(weights):
    """A little other, neither better nor worse."""
    return weights + 0.03 * torch.randn(weights.shape, generator=torch.manual_seed(0))


def test_what_is_better_within_chance_does_not_take_the_place_of_the_last_weights(ended, caplog):
    caplog.set_level(logging.INFO, "models.keeping")
    kept, layer, _, later = ended(best=shaken)
    assert (kept.epoch, kept.best) == (6, 1) and torch.equal(layer, later)
    assert "epoch 1 had the lowest val/loss" in caplog.text and "the last weights are kept" in caplog.text


def test_too_sure_last_weights_are_not_worse(ended):
    """Ten times the logits: the same answers, and a loss that is much higher as long as nothing puts it right."""
    kept, layer, _, later = ended(last=lambda weights: 10 * weights)
    assert kept.epoch == 6 and torch.equal(layer, later)


def test_what_is_certainly_better_is_kept(ended):
    kept, layer, earlier, _ = ended(last=wrong)
    assert (
        kept.epoch == 1 and torch.equal(layer, earlier) and (kept.val.logits.argmax(1) == kept.val.target).mean() > 0.5
    )


def test_of_a_single_image_nothing_is_certain(idle):
    answers = [Predictions(np.zeros(1), np.zeros(1, int), np.array([[sign, -sign]])) for sign in (1.0, -1.0)]
    gain, error = paired(idle(classifier, 2, nn.CrossEntropyLoss()), *answers)
    assert gain > 0 and not gain > CERTAIN * error


def test_last_weights_whose_answers_are_no_numbers_are_not_kept(ended):
    kept, layer, earlier, _ = ended(last=lambda weights: weights * torch.nan)
    assert kept.epoch == 1 and torch.equal(layer, earlier)


@pytest.mark.parametrize(
    "given", ["schedulers=constant", "callback.checkpoints.monitor=val/accuracy", "callback.checkpoints.keep=best"]
)
def test_the_best_is_kept_where_it_is_asked_for_or_no_schedule_came_to_its_end(ended, given):
    kept, layer, earlier, _ = ended(given, best=shaken)
    assert (kept.epoch, kept.best) == (1, 1) and torch.equal(layer, earlier)


def test_the_last_is_kept_where_it_is_asked_for(ended):
    kept, layer, _, later = ended("callback.checkpoints.keep=last", last=wrong)
    assert (kept.epoch, kept.best) == (6, 1) and torch.equal(layer, later)


@pytest.mark.parametrize("schedule", ["linear", "cosine", "one_cycle", "polynomial", "time_budget"])
def test_a_schedule_that_falls_to_its_end_is_completed(fitted, schedule):
    given = ["schedulers.budget=0.3"] if schedule == "time_budget" else []
    _, trainer, *_ = fitted("fallen", "datamodule.n_samples=300", f"schedulers={schedule}", *given)
    assert completed(trainer)


class Enough(Callback):
    def on_train_epoch_start(self, trainer, _):
        trainer.should_stop = trainer.current_epoch == 5


@pytest.mark.parametrize("epochs", [12, 5000])
def test_a_schedule_that_is_cut_off_is_not_completed(fitted, epochs):
    """In its middle, or as it still rises."""
    _, trainer, *_ = fitted("cut", "datamodule.n_samples=300", f"trainer.max_epochs={epochs}", watcher=Enough())
    assert trainer.current_epoch == 6 and not completed(trainer)


def test_the_cost_of_an_answer_is_its_log_loss_at_the_best_temperature(idle):
    rng = np.random.default_rng(0)
    target = rng.integers(0, 3, 200)
    logits = 5 * rng.normal(size=(200, 3)) + 4 * np.eye(3)[target]
    one = idle(classifier, 3, nn.CrossEntropyLoss())
    costs = one.costs(logits, target)
    assert costs == pytest.approx(log_losses(logits / fit_temperature(logits, target), target))
    assert costs.mean() < log_losses(logits, target).mean()
    assert one.costs(2 * logits, target) == pytest.approx(costs, rel=1e-3)


def test_costs_of_the_other_tasks(idle):
    """Heads add up, weighed; labels are averaged; values in training deviations; masks by the IoU of their classes."""
    rng = np.random.default_rng(1)
    heads = idle(classifier, {"a": 2, "b": 3}, nn.CrossEntropyLoss())
    logits, target = rng.normal(size=(50, 5)), np.stack([rng.integers(0, 2, 50), rng.integers(2, 5, 50)], axis=1)
    parts = [idle(classifier, size, nn.CrossEntropyLoss()) for size in (2, 3)]
    each = parts[0].costs(logits[:, :2], target[:, 0]) + parts[1].costs(logits[:, 2:], target[:, 1] - 2)
    assert heads.costs(logits, target) == pytest.approx(each)
    weighed = idle(classifier, {"a": 2, "b": 3}, nn.CrossEntropyLoss(), head_weights={"a": 0.0, "b": 2.0})
    only = 2 * parts[1].costs(logits[:, 2:], target[:, 1] - 2)
    assert weighed.costs(logits, target) == pytest.approx(only)
    labels = idle(Multilabel, 4, nn.BCEWithLogitsLoss()).costs(rng.normal(size=(50, 4)), rng.integers(0, 2, (50, 4)))
    assert labels.shape == (50,) and (labels > 0).all()
    values = idle(Regression, 2, nn.MSELoss(), examples=torch.tensor([[0.0, 0.0], [2.0, 20.0], [4.0, 40.0]]))
    deviations = values.loss.get_buffer("std").numpy()
    found = values.costs(np.array([[1.0, 10.0]]), np.array([[0.0, 30.0]]))
    assert found == pytest.approx([(1 / deviations[0]) ** 2 + (20 / deviations[1]) ** 2])
    masks = idle(Segmentation, 3, nn.CrossEntropyLoss())
    right, half, none = np.diag([4, 4, 0]), np.array([[4, 0, 0], [2, 2, 0], [0, 0, 0]]), np.zeros((3, 3))
    assert masks.costs(np.stack([right, half, none]), None) == pytest.approx([0.0, 1 - (4 / 6 + 2 / 4) / 2, 0.0])


def test_a_run_of_an_earlier_version_is_repeated_with_its_best_weights(tmp_path):
    assert Checkpoints(str(tmp_path)).keep == "best"
