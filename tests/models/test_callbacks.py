"""What watches a training loop."""

import pytest

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
