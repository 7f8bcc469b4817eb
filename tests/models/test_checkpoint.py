"""Checkpoint files are whole or the old ones, and the best is what the monitored figure calls so."""

from copy import deepcopy

import pytest
import torch
from pytorch_lightning import Callback

from models.callbacks import StopEarly, the
from models.checkpoint import Checkpoints, WholeFiles
from models.run import learning_curve

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*does not have many workers", "ignore:.*LeafSpec", "ignore:.*smaller than the logging interval"
)


def test_a_failed_write_leaves_the_former_checkpoint(tmp_path):
    file = tmp_path / "last.ckpt"
    WholeFiles().save_checkpoint({"step": torch.tensor(1)}, file)

    class Unwritable:
        def __reduce__(self):
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        WholeFiles().save_checkpoint({"step": torch.tensor(2), "broken": Unwritable()}, file)
    assert torch.load(file, weights_only=True)["step"] == 1
    assert [left.name for left in tmp_path.iterdir()] == ["last.ckpt"]


def test_a_figure_that_is_to_rise_is_followed_upwards_without_being_told(fitted):
    options = ("callback=early_stopping", "callback.stopping_metric=val/accuracy", "callback.patience=2")
    run, trainer, *_ = fitted("up", *options, "callback.checkpoints.monitor=val/accuracy", "datamodule.n_samples=400")
    accuracies = [float(row["val/accuracy"]) for row in learning_curve(run) if row["val/accuracy"]]
    assert accuracies[-1] > accuracies[0] and trainer.current_epoch > 3
    assert the(Checkpoints, trainer).best == pytest.approx(max(accuracies), abs=1e-6)
    assert float(the(StopEarly, trainer).best_score) == pytest.approx(max(accuracies), abs=1e-6)


@pytest.mark.parametrize(("figure", "meant"), [("accuracy", "val/accuracy"), ("train/loss", "val/loss")])
@pytest.mark.parametrize("key", ["callback.stopping_metric", "callback.checkpoints.monitor"])
def test_a_figure_that_no_validation_logs_is_refused_before_the_first_step(fitted, key, figure, meant):
    with pytest.raises(ValueError, match=rf"{key}={figure} is not logged by a validation; did you mean {meant}"):
        fitted("misspelt", "callback=early_stopping", f"{key}={figure}", "datamodule.n_samples=400")


class Overflowing(Callback):
    """The first validation sees weights whose answers are no numbers."""

    def on_validation_start(self, trainer, task):
        self.kept = deepcopy(task.net.state_dict())
        for parameter in task.net.parameters() if trainer.current_epoch == 0 else ():
            parameter.data.mul_(1e30)

    def on_validation_end(self, trainer, task):
        task.net.load_state_dict(self.kept)


def test_a_figure_that_is_no_number_is_not_the_best(fitted):
    _, trainer, *_ = fitted("odd", "trainer.max_epochs=3", "datamodule.n_samples=400", watcher=Overflowing())
    keeper = the(Checkpoints, trainer)
    assert keeper.best < 10 and keeper.best_epoch > 1
