"""Who sits out, that the others come in their place, and that a resumed training is the undisturbed one."""

from collections import Counter

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pytorch_lightning import Callback

from models.hard_examples import HardExamples, easiest
from models.interruption import Interrupted
from models.run import Run

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*does not have many workers", "ignore:.*LeafSpec", "ignore:.*smaller than the logging interval"
)
OPTIONS = ("callback=[ema,hard_examples]", "datamodule.n_samples=400", "trainer.max_epochs=5")


class Watcher(Callback):
    """Notes how often each row came up in an epoch, and its mean loss there."""

    def __init__(self):
        self.drawn, self.loss = [], []

    def on_train_epoch_start(self, *_):
        self.drawn.append(Counter())
        self.loss.append({})

    def on_train_batch_end(self, trainer, task, outputs, batch, number):
        losses = F.cross_entropy(outputs["logits"].float(), batch.target, reduction="none")
        for row, loss in zip(batch.index.tolist(), losses.tolist(), strict=True):
            self.drawn[-1][row] += 1
            self.loss[-1].setdefault(row, []).append(loss)


def test_the_easiest_sit_out_an_epoch_and_the_others_come_once_or_twice_in_their_place(fitted):
    watcher = Watcher()
    _, trainer, _, data = fitted("hard", *OPTIONS, "callback.hard_examples.share=0.4", watcher=watcher)
    steps, last = trainer.num_training_batches, {}
    assert trainer.global_step == 5 * steps and data.left_out is None
    for epoch, (drawn, losses) in enumerate(zip(watcher.drawn, watcher.loss, strict=True)):
        assert sum(drawn.values()) == steps * data.batch_size
        if epoch < 2:
            assert set(drawn.values()) == {1}
        else:
            easy = sorted(last, key=last.get)[: int(0.4 * len(last))]
            assert not drawn.keys() & set(easy) and set(drawn.values()) == {1, 2}
        last |= {row: float(np.mean(np.float32(seen))) for row, seen in losses.items()}


STEPS = {"before any is left out": 3, "while some are": 10, "at an epoch's end": 8}


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS.keys())
def test_a_run_stopped_and_resumed_draws_the_same(fitted, stopping, step):
    undisturbed, trainer, task, _ = fitted("undisturbed", *OPTIONS)
    assert trainer.num_training_batches == 4
    with pytest.raises(Interrupted):
        fitted("stopped", *OPTIONS, watcher=stopping(step))
    stopped = Run(undisturbed.folder.with_name("stopped"))
    _, _, resumed, _ = fitted("stopped", *OPTIONS, checkpoint=stopped.last)
    for name, tensor in task.net.state_dict().items():
        torch.testing.assert_close(tensor, resumed.net.state_dict()[name], rtol=0, atol=0)


def test_only_what_was_seen_can_be_easy():
    loss = torch.tensor([torch.inf, 3.0, 1.0, torch.inf, 2.0, 1.0])
    assert easiest(loss, 0.5).tolist() == [False, False, True, False, False, True]
    assert not easiest(loss[:1], 0.9).any()


@pytest.mark.parametrize(("name", "value"), [("share", 0), ("share", 1.0), ("from_epoch", 0)])
def test_a_share_or_epoch_out_of_range_is_refused_by_its_key(name, value):
    with pytest.raises(ValueError, match=f"callback.hard_examples.{name}={value}"):
        HardExamples(**{name: value})


def test_blended_images_are_refused_with_the_way_out(fitted):
    with pytest.raises(ValueError, match=r"neither easy nor hard[\s\S]*datamodule.augment.mixup=null"):
        fitted("mixed", *OPTIONS, "datamodule/augment=mix")
