"""What every source of images promises; each yaml of configuration/datamodule is one."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from datamodule.csv_file import CsvFile
from datamodule.decode import BadImage
from datamodule.digits import Digits
from datamodule.folder import Folder
from datamodule.masks import MaskFolders
from datamodule.torchvision_set import TorchvisionSet

YAMLS = Path(__file__).parents[2] / "configuration" / "datamodule"
SOURCES = ["digits", "folder", "csv", "torchvision", "masks"]


@pytest.fixture
def make(image_folder, tmp_path):
    """A source by the name of its yaml: 60 images of three classes, or all digits."""
    names = {f"{kind}/{number:02d}.png": 20 * ord(kind) + number for kind in "abc" for number in range(20)}
    size, fake = {"height": 9, "width": 7}, {"size": 60, "image_size": [3, 9, 7], "num_classes": 3}

    def build(name, **options):
        given = {"cache_dir": str(tmp_path / "cache"), **options}
        if name == "digits":
            return Digits(**given)
        if name == "torchvision":
            return TorchvisionSet("FakeData", arguments=fake, **given)
        if name == "masks":
            root = image_folder(
                {f"images/{number:02d}.png": number for number in range(60)}, tmp_path / "pairs", **size
            )
            (root / "masks").mkdir(exist_ok=True)
            for number in range(60):
                mask = np.random.default_rng(number).integers(0, 3, (9, 7), np.uint8)
                Image.fromarray(mask).save(root / f"masks/{number:02d}.png")
            return MaskFolders(str(root), kind="masks", **given)
        root = image_folder(names, **size)
        if name == "folder":
            return Folder(str(root), **given)
        lines = "".join(f"{path},{path[0]}\n" for path in names)
        (root / "list.csv").write_text("path,label\n" + lines)
        return CsvFile(str(root / "list.csv"), **given)

    return build


def test_every_yaml_is_tested_here():
    targets = {yaml.safe_load(file.read_text()).get("_target_") for file in YAMLS.glob("*.yaml")} - {None}
    here = {
        f"{source.__module__}.{source.__qualname__}"
        for source in (Digits, Folder, CsvFile, MaskFolders, TorchvisionSet)
    }
    assert targets == here


@pytest.mark.parametrize("name", SOURCES)
def test_scans_each_image_once_in_order(make, name):
    inventory = make(name).scan()
    paths = inventory.path.tolist()
    assert paths == sorted(set(paths))
    assert len(paths) >= 60
    assert all(len(sha) == 64 for sha in inventory.sha256)
    assert set(inventory.label) == set(inventory.classes) or name == "masks"


@pytest.mark.parametrize("name", SOURCES)
def test_scans_the_same_again(make, name):
    assert make(name).scan().digest == make(name).scan().digest


@pytest.mark.parametrize("name", SOURCES)
def test_reads_each_row_in_the_size_that_the_inventory_says(make, name):
    data = make(name)
    inventory = data.scan()
    read = data.reader(inventory)
    for row in (0, 17, len(inventory) - 1):
        image = read(row)
        assert image.dtype == np.uint8
        assert image.shape == (inventory.height[row], inventory.width[row], 1 if name == "digits" else 3)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("name", SOURCES)
def test_reads_as_many_channels_as_are_asked_for(make, name, channels):
    data = make(name, channels=channels)
    assert data.reader(data.scan())(0).shape[2] == channels


@pytest.mark.parametrize("name", SOURCES)
def test_reads_the_rows_of_a_part_of_its_inventory(make, name):
    data = make(name)
    inventory = data.scan()
    part = inventory.take(np.array([41, 7]))
    assert np.array_equal(data.reader(part)(1), data.reader(inventory)(7))


@pytest.mark.parametrize("name", SOURCES)
def test_its_reader_goes_to_other_processes(make, name):
    data = make(name)
    read = data.reader(data.scan())
    assert np.array_equal(pickle.loads(pickle.dumps(read))(3), read(3))  # noqa: S301 our own


@pytest.mark.parametrize("cache", ["ram", "disk", "stream"])
@pytest.mark.parametrize("name", SOURCES)
def test_gives_the_same_images_wherever_they_lie(make, name, cache):
    one, other = make(name), make(name, cache=cache)
    one.prepare()
    other.prepare()
    first, second = (next(iter(data.val_dataloader())) for data in (one, other))
    assert np.array_equal(first.image, second.image) and np.array_equal(first.target, second.target)
    assert (one.digest, one.sizes) == (other.digest, other.sizes)


@pytest.mark.parametrize("cache", ["ram", "disk", "stream"])
@pytest.mark.parametrize("name", ["folder", "csv"])
def test_a_truncated_image_is_named_or_left_out(make, name, cache, tmp_path):
    make(name)
    file = tmp_path / "images" / "b" / "07.png"
    whole = file.read_bytes()

    def prepared(**options):
        data = make(name, cache=cache, **options)
        file.write_bytes(whole[: len(whole) * 3 // 4])
        data.prepare()
        return data

    skipping = prepared(on_bad_image="skip")
    assert [left_out for left_out, _ in skipping.skipped] == ["b/07.png"]
    assert sum(skipping.sizes.values()) == 59
    with pytest.raises(BadImage, match=r"b/07.png cannot be decoded.*on_bad_image=skip"):
        list(prepared().train_dataloader())
