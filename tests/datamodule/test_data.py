import hashlib
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from datamodule.data import ImageData
from datamodule.geometry import Flip, PadCrop, RandomResizedCrop
from datamodule.inventory import inventory_of
from datamodule.mixing import Mixup
from datamodule.sampling import EVALUATION

pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers")
LARGE = {"sides": ((40, 60), (50, 30)), "height": 20, "width": 20}
SPLITS = ["train", "train", "train", "val", "test"]


class Pictures(ImageData):
    """Random pictures in memory; every fifth is in val, every fifth in test, pool images have no label."""

    def __init__(self, tmp_path, count=100, sides=((8, 8),), channels_of=lambda number: 3, pool=0, **options):
        super().__init__(cache_dir=str(tmp_path / "cache"), **options)
        rng = np.random.default_rng(0)
        shapes = [(*sides[number % len(sides)], channels_of(number)) for number in range(count)]
        self.pictures = [rng.integers(0, 256, shape, dtype=np.uint8) for shape in shapes]
        self.pool = pool

    def scan(self):
        count = len(self.pictures)
        named = count - self.pool
        columns = {
            "path": [f"{number:04d}" for number in range(count)],
            "sha256": [hashlib.sha256(picture).hexdigest() for picture in self.pictures],
            "height": [len(picture) for picture in self.pictures],
            "width": [picture.shape[1] for picture in self.pictures],
            "label": ["cat" if number % 4 else "dog" for number in range(named)] + [""] * self.pool,
            "split": [SPLITS[number % 5] for number in range(named)] + ["pool"] * self.pool,
            "source": "memory",
        }
        return inventory_of(Path("memory"), columns, ["cat", "dog"])

    def reader(self, inventory):
        return PictureReader(self.pictures, [int(path) for path in inventory.path], self.channels)


class PictureReader:
    def __init__(self, pictures, numbers, channels):
        self.pictures, self.numbers, self.channels = pictures, numbers, channels

    def __call__(self, row):
        picture = self.pictures[self.numbers[row]]
        return picture if self.channels in (None, picture.shape[2]) else picture.repeat(self.channels, axis=2)


class Tiny(LightningModule):
    """A linear model that writes down every training batch it sees."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.LazyLinear(2)
        self.layer(torch.zeros(1, 192))
        self.seen, self.digests = [], []

    def training_step(self, batch, batch_idx):
        self.seen.append((self.current_epoch, batch_idx, batch.index.tolist()))
        self.digests.append(hashlib.sha256(batch.image.contiguous().numpy()).hexdigest())
        loss = torch.nn.functional.cross_entropy(self.layer(batch.image.flatten(1)), batch.target)
        self.log("loss", loss, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        assert (batch.epoch == EVALUATION).all()
        self.log("val", self.layer(batch.image.flatten(1)).sum())

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


def trainer(**options):
    names = ("logger", "enable_progress_bar", "enable_model_summary", "enable_checkpointing", "use_distributed_sampler")
    return Trainer(accelerator="cpu", **dict.fromkeys(names, False) | {"max_epochs": 3, **options})


def augmented(tmp_path, **options):
    return Pictures(tmp_path, batch_size=8, augment={"crop": PadCrop(1), "flip": Flip()}, **options)


def images(loader, data):
    return torch.cat([data.on_after_batch_transfer(batch).image for batch in loader])


def prepared(data):
    data.prepare()
    return data


def test_preparing_says_what_the_data_is(tmp_path):
    data = prepared(Pictures(tmp_path, pool=10))
    assert data.classes == ("cat", "dog") and data.sizes == {"train": 54, "val": 18, "test": 18, "pool": 10}
    assert data.digest == data.inventory.digest and data.skipped == []
    assert (data.preprocessing.height, data.preprocessing.width, data.preprocessing.channels) == (8, 8, 3)


def test_preparing_twice_scans_once(tmp_path):
    data = prepared(Pictures(tmp_path))
    inventory = data.inventory
    data.setup("fit")
    assert data.inventory is inventory


def test_mean_and_std_are_those_of_the_training_images(tmp_path):
    data = prepared(Pictures(tmp_path))
    training = np.stack([data.pictures[row] for row in data.inventory.rows("train")]) / 255
    np.testing.assert_allclose(data.preprocessing.mean, training.mean((0, 1, 2)), atol=6e-5)
    np.testing.assert_allclose(data.preprocessing.std, training.std((0, 1, 2)), atol=6e-5)


def test_given_mean_and_std_are_taken(tmp_path):
    data = prepared(Pictures(tmp_path, mean=[0.5, 0.4, 0.3], std=[0.1, 0.2, 0.3]))
    assert data.preprocessing.mean == (0.5, 0.4, 0.3) and data.preprocessing.std == (0.1, 0.2, 0.3)


def test_mixed_gray_and_colour_images_become_colour(tmp_path):
    data = prepared(Pictures(tmp_path, channels_of=lambda number: 3 if number % 7 == 0 else 1))
    assert data.preprocessing.channels == 3


def test_evaluation_sees_the_normalised_pictures_and_their_classes(tmp_path):
    data = prepared(augmented(tmp_path))
    batch = data.on_after_batch_transfer(next(iter(data.val_dataloader())))
    rows = data.inventory.rows("val")[:8]
    pictures = np.stack([data.pictures[row] for row in rows]) / 255
    known = (pictures - data.preprocessing.mean) / data.preprocessing.std
    np.testing.assert_allclose(batch.image.permute(0, 2, 3, 1), known, atol=1e-4)
    assert batch.target.tolist() == data.inventory.codes()[rows].tolist() and batch.index.tolist() == rows.tolist()


def test_training_is_augmented_and_evaluation_is_not(tmp_path):
    data, plain = prepared(augmented(tmp_path)), prepared(Pictures(tmp_path, batch_size=8))
    assert not torch.equal(images(data.train_dataloader(), data), images(plain.train_dataloader(), plain))
    assert torch.equal(images(data.test_dataloader(), data), images(plain.test_dataloader(), plain))


@pytest.mark.parametrize("cache", ["ram", "disk", "stream"])
def test_workers_and_the_place_of_the_images_change_nothing(tmp_path, cache):
    alone, helped = (prepared(augmented(tmp_path, workers=workers, cache=cache)) for workers in (0, 2))
    assert torch.equal(images(alone.train_dataloader(), alone), images(helped.train_dataloader(), helped))


def test_loading_and_augmenting_leave_the_global_generators_alone(tmp_path):
    data = prepared(augmented(tmp_path))
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    images(data.train_dataloader(), data)
    images(data.val_dataloader(), data)
    assert torch.equal(before[0], torch.get_rng_state()) and (before[1] == np.random.get_state()[1]).all()


def test_the_seed_decides_order_and_augmentation(tmp_path):
    first, again, other = (prepared(augmented(tmp_path, seed=seed)) for seed in (0, 0, 1))
    assert torch.equal(images(first.train_dataloader(), first), images(again.train_dataloader(), again))
    assert not torch.equal(images(first.train_dataloader(), first), images(other.train_dataloader(), other))


@pytest.mark.parametrize("workers", [0, 2])
def test_lightning_gets_a_new_order_each_epoch(tmp_path, workers):
    task, data = Tiny(), augmented(tmp_path, workers=workers)
    trainer().fit(task, data)
    epochs = [[row for epoch, _, rows in task.seen if epoch == number for row in rows] for number in range(3)]
    assert [len(set(rows)) for rows in epochs] == [56, 56, 56] and len({tuple(rows) for rows in epochs}) == 3
    assert all(rows == expected(data, epoch) for epoch, rows in enumerate(epochs))


def expected(data, epoch):
    """The rows of an epoch, from its position alone."""
    sampler = data._training_batches(0, 1)
    sampler.position = lambda length: (epoch, 0)
    return [row for key in sampler for row in key.row.tolist()]


class SaveAt(Callback):
    """Saves at one moment of the training, named by hook, epoch and batch."""

    def __init__(self, file, hook, epoch, batch):
        self.file, self.moment = file, (hook, epoch, batch)

    def save(self, trainer, hook):
        if (hook, trainer.current_epoch, trainer.fit_loop.batch_idx) == self.moment and not trainer.sanity_checking:
            trainer.save_checkpoint(self.file)

    def on_train_batch_end(self, trainer, *_):
        self.save(trainer, "batch")

    def on_validation_end(self, trainer, *_):
        self.save(trainer, "validation")

    def on_train_epoch_end(self, trainer, *_):
        self.save(trainer, "epoch")


MOMENTS = [("batch", 0, 0), ("batch", 1, 3), ("batch", 1, 6), ("validation", 1, 6), ("epoch", 0, 6), ("epoch", 1, 6)]


@pytest.mark.parametrize("limit", [1.0, 5])
@pytest.mark.parametrize("workers", [0, 2])
def test_a_resumed_run_gets_exactly_the_remaining_batches(tmp_path, workers, limit):
    last = 6 if limit == 1.0 else 4
    moments = [(hook, epoch, min(batch, last)) for hook, epoch, batch in (MOMENTS[1:4] if workers else MOMENTS)]
    files = {moment: tmp_path / f"{number}.ckpt" for number, moment in enumerate(moments)}
    options = {"limit_train_batches": limit, "num_sanity_val_steps": 0}
    whole = Tiny()
    trainer(callbacks=[SaveAt(files[moment], *moment) for moment in moments], **options).fit(whole, augmented(tmp_path))
    for (hook, *done), file in files.items():
        rest = Tiny()
        trainer(**options).fit(rest, augmented(tmp_path, workers=workers), ckpt_path=file, weights_only=True)
        left = [place for place, seen in enumerate(whole.seen) if seen[:2] > tuple(done)]
        assert rest.seen == [whole.seen[place] for place in left], (hook, *done)
        assert rest.digests == [whole.digests[place] for place in left]
        assert all(torch.equal(one, other) for one, other in zip(whole.parameters(), rest.parameters(), strict=True))


def test_images_larger_than_asked_for_are_cropped_from_a_larger_store(tmp_path):
    data = prepared(Pictures(tmp_path, **LARGE, augment={"crop": RandomResizedCrop()}))
    raw = next(iter(data.train_dataloader()))
    ready = data.on_after_batch_transfer(raw)
    assert raw.image.shape[1:] == (23, 23, 3) and ready.image.shape[1:] == (3, 20, 20)
    assert next(iter(data.val_dataloader())).image.shape[1:] == (20, 20, 3)
    aspect = data._draws(raw).aspect
    assert aspect.tolist() == [1.5 if row % 2 == 0 else 0.6 for row in raw.index.tolist()]


def test_training_rows_can_be_seen_as_evaluation_sees_them(tmp_path):
    crops = prepared(Pictures(tmp_path, **LARGE, augment={"crop": RandomResizedCrop()}))
    plain = prepared(Pictures(tmp_path, **LARGE))
    rows = plain.inventory.rows("train")[:7]
    views = [next(iter(data.rows_dataloader(rows))).image for data in (crops, plain)]
    assert torch.equal(*views) and views[0].shape == (7, 20, 20, 3)


def test_mixup_gives_shares_of_classes(tmp_path):
    data = prepared(Pictures(tmp_path, augment={"mixup": Mixup()}))
    batch = data.on_after_batch_transfer(next(iter(data.train_dataloader())))
    torch.testing.assert_close(batch.target.sum(1), torch.ones(len(batch.target)))
    assert data.on_after_batch_transfer(next(iter(data.val_dataloader()))).target.dtype == torch.int64


def test_weighted_sampling_evens_out_the_classes(tmp_path):
    data = prepared(Pictures(tmp_path, batch_size=60, weighted_sampling=True))
    natural = data.inventory.codes()[data.inventory.rows("train")].mean()
    drawn = torch.cat([batch.target for batch in data.train_dataloader()]).float().mean()
    assert natural < 0.3 and 0.45 < drawn < 0.55


def test_steps_are_counted_per_process(tmp_path):
    data = prepared(Pictures(tmp_path, batch_size=8))
    assert data.steps_per_epoch() == len(data.train_dataloader()) == 7 and data.steps_per_epoch(2) == 3


def test_a_split_without_images_is_not_run(tmp_path):
    data = Pictures(tmp_path, val_share=0.0)
    scan = data.scan
    data.scan = lambda: scan().take(np.flatnonzero(scan().split != "val"))
    task, without_val = Tiny(), trainer(max_epochs=1)
    without_val.fit(task, data)
    assert data.sizes["val"] == 0 and len(task.seen) == 1 and "val" not in without_val.callback_metrics


def test_no_worker_is_started_for_decoded_images_and_the_log_says_so(tmp_path, caplog):
    data = prepared(Pictures(tmp_path))
    with caplog.at_level(logging.INFO):
        assert data.train_dataloader().num_workers == data.train_dataloader().num_workers == 0
    assert caplog.text.count("train: 1 batch, no workers, memory not pinned") == 1


def test_streamed_images_get_workers(tmp_path):
    assert prepared(Pictures(tmp_path, cache="stream")).train_dataloader().num_workers >= 1


def test_what_is_no_transform_is_refused_by_name(tmp_path):
    with pytest.raises(ValueError, match=r"augment\.flip=0\.5 is no transform"):
        Pictures(tmp_path, augment={"flip": 0.5}).prepare()


def test_a_transform_switched_off_is_left_out(tmp_path):
    assert list(prepared(Pictures(tmp_path, augment={"crop": None, "flip": Flip()})).transforms) == ["flip"]


@pytest.mark.parametrize(
    ("share", "way_out"), [(0.0, "set datamodule.val_share above 0"), (0.15, "give more images, two")]
)
def test_where_no_image_validates_the_way_out_fits(tmp_path, share, way_out):
    data = Pictures(tmp_path, count=2, val_share=share)  # one of each class
    data.prepare()
    with pytest.raises(ValueError, match=f"finetune: there are no validation images to judge by; {way_out}"):
        data.require_validation("finetune")
