import csv

import numpy as np
import pytest
import torch
from pytorch_lightning import Callback
from sklearn.metrics import roc_auc_score

from datamodule.digits import Digits, read_digits
from models.inference import predict
from models.interruption import Interrupted
from models.label_errors import findings
from models.label_recorder import Averages, LabelErrors
from models.run import Run

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*does not have many workers", "ignore:.*LeafSpec", "ignore:.*smaller than the logging interval"
)
SHARE = 0.2


def noisy_labels() -> tuple[np.ndarray, np.ndarray]:
    """The digits' labels, and the same with every fifth replaced by another one."""
    true = read_digits()[1]
    rng = np.random.default_rng(0)
    wrong = rng.random(len(true)) < SHARE
    return true, np.where(wrong, (true + rng.integers(1, 10, len(true))) % 10, true)


class NoisyDigits(Digits):
    """Digits of which a fifth of the training labels is wrong; those of the other splits are right."""

    def settled(self):
        inventory, skipped = super().settled()
        given = noisy_labels()[1]
        for row in inventory.rows("train"):
            inventory.label[row] = str(given[int(inventory.path[row])])
        return inventory, skipped


@pytest.fixture
def begin(fitted):
    """Trains on noisy digits with callback=label_errors, or another."""

    def start(name, *overrides, callback="label_errors", **options):
        own = ["callback.label_errors.quality=false"] if "label_errors" in callback else []
        return fitted(name, f"callback={callback}", *own, *overrides, source=NoisyDigits, **options)

    return start


def listed(run: Run) -> list[dict[str, str]]:
    with (run.folder / "label_errors.csv").open() as lines:
        return list(csv.DictReader(lines))


def columns(run: Run) -> tuple[np.ndarray, ...]:
    """True, given and suggested class, score and flag of each listed sample."""
    rows, true = listed(run), noisy_labels()[0]
    named = [np.array([int(row[name]) for row in rows]) for name in ("given", "suggested")]
    score, flagged = (
        np.array([float(row["score"]) for row in rows]),
        np.array([row["flagged"] == "true" for row in rows]),
    )
    return true[[int(row["file"]) for row in rows]], *named, score, flagged


def accuracy(task, data) -> float:
    found = predict(task, data, "test", torch.device("cpu"))
    return float((found.logits.argmax(1) == found.target).mean())


def test_training_finds_the_wrong_labels_and_says_the_right_ones(begin):
    run, _, _, data = begin("plain")
    true, given, suggested, score, flagged = columns(run)
    wrong = given != true
    assert len(true) == data.sizes["train"] and 0.15 < wrong.mean() < 0.25
    assert roc_auc_score(wrong, -score) > 0.97
    assert (suggested == true)[wrong].mean() > 0.85
    assert wrong[flagged].mean() > 0.8 and flagged[wrong].mean() > 0.8
    assert list(score) == sorted(score) and [int(row["rank"]) for row in listed(run)] == list(range(1, len(true) + 1))
    assert "suggested label" in (run.folder / "label_errors/index.html").read_text()


def test_what_no_batch_has_shown_yet_is_said_and_not_judged(begin, caplog):
    run, _, _, data = begin("short", "trainer.max_epochs=1", "datamodule.n_samples=200", "datamodule.batch_size=80")
    unseen = data.sizes["train"] - len(listed(run))
    assert unseen > 0 and f"{unseen} training images were in no batch yet and are not judged" in caplog.text


def test_without_trimming_the_weights_are_those_of_a_plain_training(begin):
    _, _, watched, _ = begin("watched", "trainer.max_epochs=2")
    _, _, plainly, _ = begin("plain", "trainer.max_epochs=2", callback="default")
    for name, tensor in watched.net.state_dict().items():
        torch.testing.assert_close(tensor, plainly.net.state_dict()[name], rtol=0, atol=0)


def test_trimming_leaves_out_the_wrong_labels_and_keeps_the_accuracy(begin):
    watcher = LeftOut()
    _, _, plainly, data = begin("plain", "trainer.max_epochs=12")
    run, _, trimmed, _ = begin("trimmed", "trainer.max_epochs=12", "callback.label_errors.trim=true", watcher=watcher)
    true, given, _, score, _ = columns(run)
    assert roc_auc_score(given != true, -score) > 0.97
    assert accuracy(trimmed, data) > accuracy(plainly, data) - 0.01
    assert [number is None for number in watcher.masks] == [True] * 6 + [False] * 6
    rows = data.inventory.rows("train")
    wrong = (noisy_labels()[0].astype(str)[[int(path) for path in data.inventory.path]] != data.inventory.label)[rows]
    last = watcher.masks[-1].numpy()[rows]
    assert wrong[last].mean() > 0.8 and last[wrong].mean() > 0.3
    assert trimmed.left_out is None


class LeftOut(Callback):
    """Notes in each epoch what is left out of the loss."""

    def __init__(self):
        self.masks = []

    def on_train_epoch_end(self, trainer, task):
        self.masks.append(task.left_out)


STEPS = {"in mid-epoch before trimming": 5, "in mid-epoch while trimming": 10, "at an epoch's end": 7}


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS.keys())
def test_a_run_stopped_and_resumed_finds_the_same_to_the_last_digit(begin, stopping, step):
    options = ("callback.label_errors.trim=true", "trainer.max_epochs=4", "datamodule.n_samples=400")
    both = {"callback": "[ema,label_errors]"}
    watcher = LeftOut()
    undisturbed, _, task, _ = begin("undisturbed", *options, watcher=watcher, **both)
    assert watcher.masks[2].any() and not watcher.masks[3].equal(watcher.masks[2])
    with pytest.raises(Interrupted):
        begin("stopped", *options, watcher=stopping(step), **both)
    stopped = Run(undisturbed.folder.with_name("stopped"))
    _, _, resumed, _ = begin("stopped", *options, checkpoint=stopped.last, **both)
    assert listed(stopped) == listed(undisturbed)
    for name, tensor in task.net.state_dict().items():
        torch.testing.assert_close(tensor, resumed.net.state_dict()[name], rtol=0, atol=0)


def test_a_step_only_keeps_its_logits_and_an_epoch_averages_them_once(begin, monkeypatch):
    calls = []
    add = Averages.add
    monkeypatch.setattr(Averages, "add", lambda self, *given: calls.append(len(given[0])) or add(self, *given))
    _, trainer, _, _ = begin("plain", "trainer.max_epochs=3", "callback.checkpoints=null")
    assert calls == [trainer.num_training_batches * trainer.datamodule.batch_size] * 3


def test_mixup_is_refused_with_the_reason_and_the_way_out(begin):
    with pytest.raises(ValueError, match=r"show the network two: a margin[\s\S]*datamodule.augment.mixup=null"):
        begin("mixed", "datamodule/augment=mix")


@pytest.mark.parametrize("value", ["decay=0", "decay=1.5", "trim_from=0"])
def test_a_decay_or_share_out_of_range_is_refused_by_its_key(value):
    name, number = value.split("=")
    with pytest.raises(ValueError, match=f"callback.label_errors.{name}="):
        LabelErrors(**{name: float(number)})


def sightings(count=40, classes=4):
    rng = np.random.default_rng(0)
    return torch.from_numpy(rng.integers(0, 10, count)), torch.from_numpy(rng.normal(size=(count, classes)).astype("f"))


def test_an_epoch_weighs_half_of_the_next_and_repeats_count_each():
    rows, logits, labels = torch.tensor([0, 1, 0]), torch.eye(3)[[0, 1, 2]], np.array([0, 1, 0])
    averages = Averages.empty(3, 3)
    averages.add(rows, logits, 0, 0.5)
    averages.add(rows[:1], 4 * logits[:1], 2, 0.5)
    seen, found = averages.judged(labels)
    assert seen.tolist() == [0, 1]
    expected = np.array([[(0.25 + 4) / 1.5, 0, 0.25 / 1.5], [0, 1, 0]])
    np.testing.assert_allclose(found.score, findings(expected, labels[:2]).score, rtol=1e-6)


def test_parts_averaged_one_after_the_other_give_the_same_bits_as_the_whole():
    rows, logits = sightings()
    whole, parts = Averages.empty(10, 4), Averages.empty(10, 4)
    whole.add(rows, logits, 1, 0.5)
    for part in (slice(0, 13), slice(13, 40)):
        parts.add(rows[part], logits[part], 1, 0.5)
    assert all(torch.equal(*pair) for pair in zip(whole.sums, parts.sums, strict=True))


def test_the_sums_of_two_processes_add_up_to_those_of_one():
    rows, logits = sightings()
    one, two = Averages.empty(10, 4), [Averages.empty(10, 4), Averages.empty(10, 4)]
    for epoch in range(3):
        one.add(rows, logits, epoch, 0.5)
        for process, averages in enumerate(two):
            averages.add(rows[process::2], logits[process::2], epoch, 0.5)
    for whole, *parts in zip(one.sums, *(averages.sums for averages in two), strict=True):
        torch.testing.assert_close(whole, sum(parts))


def test_a_batch_that_is_left_out_whole_moves_nothing(begin):
    _, _, task, data = begin("plain", "trainer.max_epochs=1")
    batch = next(iter(data.train_dataloader()))
    batch = data.on_after_batch_transfer(batch)
    task.left_out = torch.ones(len(data.inventory), dtype=torch.bool)
    task.zero_grad()
    loss = task.step(batch, 0, "train")["loss"]
    loss.backward()
    assert loss == 0 and all(not weight.grad.any() for weight in task.parameters() if weight.grad is not None)
    task.left_out[batch.index[0]] = False
    alone = task.loss(task.net.eval()(batch.image)[:1], batch.target[:1])
    torch.testing.assert_close(task.loss_of(task(batch.image), batch, "train"), alone)
