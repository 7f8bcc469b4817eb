"""A pool is decoded once and trained on like any other data."""

import numpy as np
import pytest

from datamodule.digits import Digits
from datamodule.folder import Folder
from datamodule.pool import PoolData


@pytest.fixture
def pool(tmp_path):
    data = PoolData(Digits(cache_dir=str(tmp_path / "cache"), n_samples=300, workers=0))
    data.prepare()
    return data


def labels_of(pool, count):
    rows = pool.candidates[:count]
    return dict(zip(pool.inventory.sha256[rows], pool.known[rows], strict=True))


def test_only_what_is_labelled_trains_and_val_and_test_stay(pool):
    part = pool.labelled(labels_of(pool, 20))
    assert part.sizes == {**pool.sizes, "train": 20, "pool": len(pool.candidates) - 20}
    assert set(part.inventory.label[part.inventory.rows("pool")]) == {""}
    seen = np.concatenate([batch.index.numpy() for batch in part.train_dataloader()])
    assert sorted(seen.tolist()) == sorted(pool.candidates[:20].tolist())
    assert part.digest != pool.digest != pool.labelled(labels_of(pool, 21)).digest


def test_a_labelled_part_trains_by_the_very_same_loader_from_the_same_pixels(pool):
    """So it cannot be slower than plain data: nothing lies between."""
    part = pool.labelled(labels_of(pool, 50))
    assert part._training_store is pool._training_store
    assert type(part).train_dataloader is type(pool.source).train_dataloader


def test_batches_hold_the_labels_that_were_given(pool):
    wrong = dict.fromkeys(labels_of(pool, 5), "3")
    for batch in pool.labelled(wrong).train_dataloader():
        assert batch.target.tolist() == [3] * len(batch.target)


def test_unlabelled_images_are_read_as_evaluation_sees_them(pool):
    part = pool.labelled(labels_of(pool, 10))
    rows = part.inventory.rows("pool")[:7]
    [batch] = list(part.rows_dataloader(rows))
    assert batch.index.tolist() == rows.tolist() and (batch.epoch == -1).all()


def test_equal_images_are_asked_for_once(digit_folder, tmp_path):
    for file in sorted((digit_folder / "class 1").glob("*.png"))[:10]:
        (file.parent / f"copy-{file.name}").write_bytes(file.read_bytes())
    data = PoolData(Folder(str(digit_folder), cache_dir=str(tmp_path / "cache"), workers=0))
    data.prepare()
    shas = data.inventory.sha256[data.candidates]
    assert len(set(shas)) == len(shas) < data.sizes["train"]


def test_a_folder_without_any_label_is_a_pool_of_named_classes(digit_folder, tmp_path):
    flat = tmp_path / "flat"
    flat.mkdir()
    for number, file in enumerate(sorted(digit_folder.glob("*/*.png"))):
        (flat / f"{number}.png").write_bytes(file.read_bytes())
    source = Folder(str(flat), cache_dir=str(tmp_path / "cache"), class_names=["a", "b"], workers=0)
    data = PoolData(source)
    data.prepare()
    assert len(data.candidates) == len(set(data.inventory.sha256)) and data.classes == ("a", "b")
    [batch] = list(data.labelled({data.inventory.sha256[0]: "b"}).train_dataloader())
    assert batch.target.tolist() == [1]


def test_classes_that_nobody_named_are_asked_for(digit_folder, tmp_path):
    flat = tmp_path / "flat"
    flat.mkdir()
    (flat / "0.png").write_bytes(next(digit_folder.glob("*/*.png")).read_bytes())
    with pytest.raises(ValueError, match=r"name at least two by datamodule.class_names"):
        PoolData(Folder(str(flat), cache_dir=str(tmp_path / "cache"))).prepare()
