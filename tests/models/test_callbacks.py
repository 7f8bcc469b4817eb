"""What watches a training loop."""

import pytest
import torch
from pytorch_lightning import Callback

from models.callbacks import Budget, StopEarly, the


@pytest.mark.parametrize(("stopped_at", "steps"), [("null", 1), (3, 3)])
def test_time_ends_a_training_after_a_whole_step_and_a_rerun_asks_no_clock(fitted, monkeypatch, stopped_at, steps):
    monkeypatch.setattr(Budget, "seconds", property(lambda _: 60.0))
    limits = ("trainer.max_time=00:00:01:00", f"trainer.stopped_at={stopped_at}", "trainer.log_every_n_steps=1")
    _, trainer, *_ = fitted("cut", *limits, "trainer.accumulate_grad_batches=2")
    done = trainer.fit_loop.epoch_loop.batch_progress.current.processed
    assert (trainer.global_step, done) == (steps, 2 * steps)


def test_a_run_that_goes_on_has_the_patience_that_it_is_now_given(fitted):
    options = ("callback=early_stopping", "trainer.log_every_n_steps=1", "datamodule.n_samples=300")
    run, *_ = fitted("first", *options, "trainer.max_epochs=1", "callback.patience=2")
    _, trainer, *_ = fitted("second", *options, "trainer.max_epochs=2", "callback.patience=7", checkpoint=run.last)
    assert the(StopEarly, trainer).patience == 7


@pytest.mark.parametrize("asked", ["callback=early_stopping", "schedulers=plateau"])
def test_what_goes_by_validations_is_refused_where_no_image_validates(fitted, asked):
    with pytest.raises(ValueError, match=rf"{asked}: there are no validation images .*; set datamodule\.val_share"):
        fitted("unjudged", asked, "datamodule.val_share=0", "datamodule.n_samples=300")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("optimizers.lr=1e30", r"at step 2 \(learning rate about .*: try a lower optimizers\.lr, .*speed=fp32$"),
        ("task.class_weights=[1,0,0,0,0,0,0,0,0,0]", r"at step 1, before any weight .* \(task\.class_weights\)"),
    ],
)
def test_a_loss_that_is_no_number_is_told_with_its_step_and_what_can_be_the_cause(fitted, given, told):
    one_by_one = ("datamodule.batch_size=1", "trainer.accumulate_grad_batches=2", "datamodule.n_samples=60")
    with pytest.raises(FloatingPointError, match=f"the loss is not finite {told}"):
        fitted("wild", given, *one_by_one, "trainer.log_every_n_steps=9")


def test_where_a_later_loss_is_no_number_a_checkpoint_is_left(fitted):
    class Late(Callback):
        def on_train_epoch_start(self, trainer, task):
            task.loss.weight = torch.full((10,), torch.nan) if trainer.current_epoch else None

    with pytest.raises(FloatingPointError, match=r"at step 3 .*; the last good checkpoint is kept$"):
        fitted("late", "datamodule.n_samples=200", "trainer.log_every_n_steps=1", watcher=Late())
