import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from datamodule.geometry import Flip, RandomResizedCrop
from datamodule.masks import MaskFolders


@pytest.fixture
def pairs(tmp_path):
    """Writes images whose red channel, by tens, is their mask's class number, and gives their source."""

    def make(count=40, classes=3, size=(12, 16), root=tmp_path / "pairs", places=("images", "masks"), **options):
        for number in range(count):
            mask = (
                np.random.default_rng(number)
                .integers(0, classes, (3, 4))
                .repeat(size[0] // 3, 0)
                .repeat(size[1] // 4, 1)
            )
            picture = np.stack((mask * 10, mask, mask + number), axis=2).astype(np.uint8)
            for folder, pixels in zip(places, (picture, mask.astype(np.uint8)), strict=True):
                (root / folder).mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(root / folder / f"{number:02}.png")
        return MaskFolders(str(root), kind="masks", cache_dir=str(tmp_path / "cache"), **options)

    return make


def batch_of(data, loader):
    return data.on_after_batch_transfer(next(iter(loader)))


def test_each_image_comes_with_its_own_mask(pairs):
    data = pairs(mean=[0.0] * 3, std=[1.0] * 3)
    data.prepare()
    batch = batch_of(data, data.val_dataloader())
    assert batch.target.dtype == torch.int64 and data.classes == ("0", "1", "2")
    assert ((batch.image[:, 0] * 25.5).round() == batch.target).all()
    counts = torch.stack([(batch.target == one).sum((1, 2)) for one in range(3)], 1)
    assert (data.target[batch.index] == counts).all()


@pytest.mark.parametrize("sizes", [{}, {"height": 8, "width": 8}])
def test_augmentation_moves_image_and_mask_alike(pairs, sizes):
    moves = {"flip": Flip(), "crop": RandomResizedCrop(scale=(0.2, 0.6)), "vertical": Flip(vertical=True)}
    data = pairs(mean=[0.0] * 3, std=[1.0] * 3, augment=moves, interpolation="nearest", **sizes)
    data.prepare()
    batch = batch_of(data, data.train_dataloader())
    apart = ((batch.image[:, 0] * 25.5).round() != batch.target).float().mean()
    assert apart < 0.15  # only along the edges, where pixels are interpolated; two thirds where they move apart


@pytest.mark.parametrize("places", [("train/images", "train/masks"), ("images/train", "masks/train")])
def test_splits_are_folders_inside_or_outside(pairs, tmp_path, places):
    pairs(10, root=tmp_path / "split", places=tuple(place.replace("train", "test") for place in places))
    data = pairs(60, root=tmp_path / "split", places=places)
    data.prepare()
    assert data.sizes["train"] > 20 and set(data.inventory.split[:10]) <= {"test", "train"}
    test = set(data.inventory.path[data.inventory.rows("test")])
    assert test == {path for path in data.inventory.path if "test" in path}


def test_a_mask_of_0_and_255_has_two_classes(pairs):
    data = pairs()
    for file in (data.root / "masks").iterdir():
        Image.fromarray((np.asarray(Image.open(file)) > 0) * np.uint8(255)).save(file)
    data.prepare()
    assert data.classes == ("0", "255") and set(batch_of(data, data.val_dataloader()).target.unique().tolist()) == {
        0,
        1,
    }


def test_values_can_be_any_and_some_ignored(pairs):
    data = pairs(values=[2, 0], ignored_values=[1], class_names=["two", "none"])
    data.prepare()
    batch = batch_of(data, data.val_dataloader())
    assert set(batch.target.unique().tolist()) == {0, 1, 255} and data.classes == ("two", "none")


def test_classes_in_no_training_mask_are_named_in_a_line_with_the_values_that_occur(pairs, caplog):
    data = pairs()
    for file in (data.root / "masks").iterdir():
        Image.fromarray(np.asarray(Image.open(file)) * 10).save(file)
    data.prepare()
    told = (
        "18 of 21 classes are in no training mask: 1, 2, 3, 4, 5 and 13 more; datamodule.values=[0,10,20] makes a class"
    )
    assert [one.message for one in caplog.records] == [f"{told} of each that occurs"]


def spoil_size(root):
    Image.new("L", (5, 5)).save(root / "masks/03.png")


def spoil_value(root):
    Image.new("L", (16, 12), 7).save(root / "masks/03.png")


def spoil_file(root):
    (root / "masks/03.png").write_bytes(b"")


def spoil_colours(root):
    Image.fromarray(np.random.default_rng(0).integers(0, 9, (12, 16, 3), np.uint8)).save(root / "masks/03.png")


def spoil_pair(root):
    (root / "masks/03.png").unlink()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (spoil_pair, "images/03.png has no mask of its name"),
        (spoil_size, "images/03.png has the mask masks/03.png of another size: 5 x 5 pixels, the image 16 x 12"),
        (spoil_value, r"images/03.png has the mask masks/03.png with the values \[7\], .* \[0, 1, 2\]"),
        (spoil_file, "images/03.png has the mask masks/03.png, which is empty"),
        (spoil_colours, "images/03.png has the mask masks/03.png, which holds colours"),
    ],
)
def test_what_is_wrong_with_a_mask_is_named_with_its_file_or_left_out(pairs, spoil, said):
    raising = pairs(class_names=["a", "b", "c"])
    spoil(raising.root)
    with pytest.raises(ValueError, match=said):
        raising.prepare()
    skipping = MaskFolders(str(raising.root), kind="masks", cache_dir=raising.cache_dir, on_bad_image="skip",
                           class_names=["a", "b", "c"])  # fmt: skip
    skipping.prepare()
    assert [file for file, _ in skipping.skipped] == ["images/03.png"] and len(skipping.inventory) == 39


def test_a_mask_without_an_image_is_named(pairs):
    data = pairs()
    (data.root / "images/05.png").unlink()
    with pytest.raises(ValueError, match=r"1 masks .* have no image of their name: masks/05.png"):
        data.prepare()


def test_masks_are_decoded_once(pairs, tmp_path, monkeypatch):
    first = pairs()
    first.prepare()
    again = MaskFolders(str(first.root), kind="masks", cache_dir=first.cache_dir)
    monkeypatch.setattr("datamodule.mask_files.decode_mask", None)
    again.prepare()
    assert (again.target == first.target).all() and again.digest == first.digest


@pytest.mark.parametrize("damage", ["{", "[1]", '{"SHA": 1}', '{"SHA": {"height": 12, "pixels": {"0": 1}}}'])
def test_a_damaged_memory_of_masks_is_made_anew(pairs, caplog, damage):
    first = pairs()
    first.prepare()
    memory = next((Path(first.cache_dir) / "masks").iterdir())
    memory.write_text(damage.replace("SHA", first.inventory.label[0]))
    again = MaskFolders(str(first.root), kind="masks", cache_dir=first.cache_dir)
    again.prepare()
    assert (again.target == first.target).all()
    assert f"{memory} is damaged; it is made anew" in caplog.text


def test_another_mask_is_other_data(pairs):
    first = pairs()
    first.prepare()
    mask = np.asarray(Image.open(first.root / "masks/03.png"))
    Image.fromarray((mask + 1) % 3).save(first.root / "masks/03.png")
    again = MaskFolders(str(first.root), kind="masks", cache_dir=first.cache_dir)
    again.prepare()
    assert again.digest != first.digest


def test_workers_get_the_masks_too(pairs):
    data = pairs()
    data.prepare()
    dataset = data.val_dataloader().dataset
    key = next(iter(data.val_dataloader().sampler))
    assert (copy.deepcopy(dataset)[key].target == dataset[key].target).all()
