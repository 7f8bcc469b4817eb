"""From a source of images to batches: ImageData, the base of all sources."""

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from pytorch_lightning import LightningDataModule
from torch import Tensor

from datamodule.batches import Batch, Batches, BatchLoader, MaskBatches, batch_loader, log_loading, worker_count
from datamodule.cache import open_store, without_bad
from datamodule.checks import Skipped, check_classes, settle
from datamodule.inventory import Inventory, Rows
from datamodule.partition import thin
from datamodule.preprocessing import Fit, Preprocessing, Squash
from datamodule.randomness import Draws, Floats
from datamodule.sampling import EVALUATION, Chosen, EvaluationBatches, Position, TrainingBatches, class_weights
from datamodule.settings import DataSettings
from datamodule.sizing import image_size, training_squash
from datamodule.statistics import mean_and_std, spread_out
from datamodule.stores import ImageStore, MaskedStore, Reader
from datamodule.targets import Kind, Targets, targets_of
from datamodule.transforms import Augmentation, Normalize, Transform, is_mask

SAMPLED_CHANNELS, SAMPLED_STATISTICS, CHUNK = 16, 2048, 64  # images looked at


class ImageData(DataSettings, LightningDataModule):
    """Images with labels, for training and evaluation. A source gives `scan` and `reader`; `prepare` does the rest.

    After `prepare`: inventory, preprocessing, classes, sizes, digest, skipped (the files left out, with reasons).
    """

    kinds: ClassVar[tuple[Kind, ...]] = ("classes",)  # of targets that the source can give
    place: ClassVar[Literal["root", "file"] | None] = None  # the argument that says where anybody's images lie
    inventory: Inventory
    preprocessing: Preprocessing
    skipped: Skipped

    def __init__(self, **options: Any) -> None:
        LightningDataModule.__init__(self)
        DataSettings.__init__(self, **options)
        if self.kind not in self.kinds:
            raise ValueError(
                f"{type(self).__name__} gives {' or '.join(self.kinds)}, but the task learns {self.kind}: choose "
                "another task, or datamodule=csv (classes, heads, labels, values) or datamodule=masks"
            )
        self.targets: Targets = targets_of(self.kind)
        self.left_out: Chosen | None = None  # (rows,) which training does without from the next epoch on
        self._prepared = False
        self._said: set[str] = set()  # of its loaders, in the log

    def scan(self) -> Inventory:
        """All images of the source; may leave splits open."""
        raise NotImplementedError

    def reader(self, inventory: Inventory) -> Reader:
        """Gives a row number's pixels (H, W, C), in `self.channels` channels unless that is None."""
        raise NotImplementedError

    def encode(self, inventory: Inventory) -> Tensor:
        """The target of each row: its class (n,) or classes (n, heads) int64, its labels or values (n, …) float32."""
        return torch.from_numpy(self.targets.encode(inventory))

    @property
    def classes(self) -> tuple[str, ...]:
        return self.inventory.classes

    @property
    def digest(self) -> str:
        return self.inventory.digest

    @property
    def sizes(self) -> dict[str, int]:
        """Images in each split."""
        return {split: len(self.inventory.rows(split)) for split in ("train", "val", "test", "pool")}

    def prepare(self) -> None:
        """Scans, checks, decodes once. All that is wrong with the data raises here, before any training."""
        if self._prepared:
            return
        self.inventory, self.skipped = self.settled()
        self.preprocessing = self._unmeasured_preprocessing()
        self.transforms = self._fitted_transforms()
        self._open_stores()
        self._measure()
        self.target = self.encode(self.inventory)
        self.normalize = Normalize(self.preprocessing.mean, self.preprocessing.std)
        self.augmentation = Augmentation(self.transforms, len(self.classes))
        self._prepared = True

    def require_validation(self, what: str) -> None:
        """Raises ValueError where no image validates. what: cannot do without, by its key."""
        if not self.sizes["val"]:
            more = "give more images, two of each class at least, or some in a val split of your own"
            way_out = more if self.val_share else "set datamodule.val_share above 0"
            raise ValueError(f"{what}: there are no validation images to judge by; {way_out}")

    def setup(self, stage: str) -> None:
        """Lightning's hook; a split without images is not run."""
        self.prepare()
        for split in ("val", "test"):
            if self.trainer is not None and not self.sizes[split]:
                setattr(self.trainer, f"limit_{split}_batches", 0)

    def settled(self) -> tuple[Inventory, Skipped]:
        """The checked inventory with its splits, and the files left out; nothing is decoded."""
        return settle(
            self.scan(),
            cache_dir=Path(self.cache_dir),
            class_names=self.class_names,
            n_samples=self.n_samples,
            val_share=self.val_share,
            test_share=self.test_share,
            salt=self.salt,
            on_bad_image=self.on_bad_image,
            targets=self.targets,
        )

    def _unmeasured_preprocessing(self) -> Preprocessing:
        """All but mean and std, which take the decoded images to measure."""
        height, width = image_size(self.inventory, self.height, self.width)
        if self.channels is None:
            self.channels = self._most_channels()
        mean, std = (tuple(given or [0.5] * self.channels) for given in (self.mean, self.std))
        return Preprocessing(height, width, self.channels, mean, std, self.interpolation, self.crop, self.decode)

    def _most_channels(self) -> int:
        read, rows = self.reader(self.inventory), spread_out(np.arange(len(self.inventory)), SAMPLED_CHANNELS)
        return max(read(row).shape[2] for row in rows.tolist())

    def _fitted_transforms(self) -> dict[str, Transform]:
        fitted = {}
        for name, transform in (self.augment or {}).items():
            if isinstance(transform, Transform):
                fitted[name] = transform.fitted(self.preprocessing.height, self.preprocessing.width)
            elif transform is not None:
                raise ValueError(
                    f"datamodule.augment.{name}={transform!r} is no transform; name its _target_, or give null"
                )
        return fitted

    def _open_stores(self) -> None:
        """One store for all images, or two where training draws its crops from whole, larger pictures."""
        scale = max((transform.store_scale for transform in self.transforms.values()), default=1.0)
        squash = training_squash(self.inventory, self.preprocessing, scale)
        if squash is None:
            stores = [self._open(Fit(self.preprocessing))]
        else:
            others = np.flatnonzero(self.inventory.split != "train")
            stores = [self._open(squash, self.inventory.rows("train")), self._open(Fit(self.preprocessing), others)]
        self.inventory, stores, skipped = without_bad(self.inventory, stores, self.on_bad_image)
        if skipped:  # what was settled is checked
            check_classes(self.inventory, self.targets)
        self.skipped = self.skipped + skipped
        self._training_store, self._evaluation_store = stores[0], stores[-1]
        seen = self.inventory if squash else self.preprocessing
        self._aspect = np.broadcast_to(seen.width / seen.height, len(self.inventory))  # of what a stored picture shows

    def _open(self, transform: Fit | Squash, rows: Rows | None = None) -> ImageStore:
        return self.opened(self.inventory, transform, rows)

    def opened(self, inventory: Inventory, transform: Fit | Squash, rows: Rows | None = None) -> ImageStore:
        """The decoded images of some rows of an inventory, or of all; with masks it is a MaskedStore."""
        options: Any = {"rows": rows, "mode": self.cache, "on_bad_image": self.on_bad_image}
        return open_store(inventory, transform, self.reader(inventory), Path(self.cache_dir), **options)

    def _measure(self) -> None:
        """Mean and std of the training images, where they are not given."""
        if self.mean is not None and self.std is not None:
            return
        rows = spread_out(self.inventory.rows("train"), SAMPLED_STATISTICS)
        parts = np.array_split(rows, max(1, len(rows) // CHUNK))
        mean, std = mean_and_std(self._training_store.read(part) for part in parts)
        self.preprocessing = replace(self.preprocessing, mean=tuple(self.mean or mean), std=tuple(self.std or std))

    def train_dataloader(self) -> BatchLoader:
        """Shuffled by (seed, epoch), from where the trainer stands."""
        return self.training_loader(self._position)

    def training_loader(self, position: Position, rows: Rows | None = None) -> BatchLoader:
        """The same from a place of one's own. position: batches of an epoch → epoch, batches of it already done.

        rows: those of the training images that are drawn, all by default.
        """
        return self._loader("train", self._training_store, self._training_batches(*self._place(), position, rows))

    def training_share(self, share: float) -> Rows:
        """Rows of a share of the training images, the same of each class; a smaller one lies within a larger one."""
        rows = self.inventory.rows("train")
        train = self.inventory.take(rows)
        strata = self.targets.strata(train)
        return rows[thin(replace(train, label=strata), max(round(share * len(rows)), len(set(strata))), self.salt)]

    def val_dataloader(self) -> BatchLoader:
        return self.rows_dataloader(self.inventory.rows("val"), "val")

    def test_dataloader(self) -> BatchLoader:
        return self.rows_dataloader(self.inventory.rows("test"), "test")

    def rows_dataloader(self, rows: Rows, name: str = "rows") -> BatchLoader:
        """Any rows of the inventory, in order and as evaluation sees them."""
        store = self._evaluation_store
        if store is not self._training_store and (self.inventory.split[rows] == "train").any():
            store = self._open(Fit(self.preprocessing), rows)
        size = self.eval_batch_size or self.batch_size
        return self._loader(name, store, EvaluationBatches(rows, size, *self._place()))

    def steps_per_epoch(self, world_size: int = 1, rows: Rows | None = None) -> int:
        """Batches of an epoch of training on so many processes. rows: as of `training_loader`."""
        return len(self._training_batches(0, world_size, rows=rows))

    def sample_weights(self, rows: Rows) -> Floats | None:
        """How often each row is drawn relative to the others, (n,); None where each comes once an epoch."""
        return class_weights(self.inventory.codes()[rows], self.power) if self.weighted_sampling else None

    def _training_batches(
        self, rank: int, world: int, position: Position | None = None, rows: Rows | None = None
    ) -> TrainingBatches:
        rows, start = self.inventory.rows("train") if rows is None else rows, position or self._position
        left_out = lambda: self.left_out  # noqa: E731  # as it is when an epoch starts
        return TrainingBatches(
            rows, self.batch_size, self.seed, start, rank, world, self.sample_weights(rows), left_out
        )

    def _loader(self, name: str, store: ImageStore, keys: TrainingBatches | EvaluationBatches) -> BatchLoader:
        workers, pinned = worker_count(self.workers, store), self._device() == "cuda"
        log_loading(name, keys, workers, pinned, self._said)
        return batch_loader(Batches(store, self._batch_targets(store)), keys, workers, pinned, self.seed)

    def _batch_targets(self, store: ImageStore) -> Tensor | MaskBatches:
        if isinstance(store, MaskedStore):
            return MaskBatches(store.masks, self.targets.table(self.inventory))
        return self.target

    def _device(self) -> str:
        return "cpu" if self.trainer is None else str(self.trainer.strategy.root_device.type)

    def _place(self) -> tuple[int, int]:
        """Rank and number of the processes that train together."""
        return (0, 1) if self.trainer is None else (self.trainer.global_rank, self.trainer.world_size)

    def _position(self, length: int) -> tuple[int, int]:
        """Epoch and batches of it already done, as the trainer's progress says, a restored one's too."""
        if self.trainer is None:
            return 0, 0
        loop, limit = self.trainer.fit_loop, self.trainer.limit_train_batches
        begun, ended = _begun_and_ended(loop.epoch_progress)
        if begun == ended:  # between two epochs
            return ended, 0
        last = min(length, limit) if isinstance(limit, int) else int(length * limit)
        _, done = _begun_and_ended(loop.epoch_loop.batch_progress)
        return (ended, done) if done < last else (ended + 1, 0)

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Only what the model reads goes to the device."""
        ahead = device.type == "cuda"
        image, target = (tensor.to(device, non_blocking=ahead) for tensor in batch[:2])
        return batch._replace(image=image, target=target)

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int = 0) -> Batch:
        """As the model sees it: augmented if it is a training batch, normalised."""
        image, target = batch.image.permute(0, 3, 1, 2), batch.target
        if batch.epoch[0] != EVALUATION:
            image, target = self.augmentation(image, target, self._draws(batch))
        return batch._replace(image=self.normalize(image), target=target.long() if is_mask(target) else target)

    def _draws(self, batch: Batch) -> Draws:
        epoch, index, repeat = (column.numpy() for column in (batch.epoch, batch.index, batch.repeat))
        return Draws(self.seed, epoch, index, repeat, self._aspect[index])


def _begun_and_ended(progress: Any) -> tuple[int, int]:
    """How many epochs, or batches of this epoch, Lightning began and got through."""
    return progress.current.ready, progress.current.processed
