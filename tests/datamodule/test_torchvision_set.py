import pickle
import socket
import struct
from urllib.error import URLError

import numpy as np
import pytest

from datamodule.torchvision_parts import classes_of, label_of, open_parts, parameters, patience, set_named
from datamodule.torchvision_set import TorchvisionSet

NO_PARTS = {"size": 30, "image_size": [3, 6, 6], "num_classes": 3}


@pytest.fixture
def mnist(tmp_path):
    """The root of a small MNIST: 40 training and 20 test images."""
    raw = tmp_path / "sets" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part, count in (("train", 40), ("t10k", 20)):
        pixels = np.random.default_rng(count).integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = np.arange(count, dtype=np.uint8) % 10
        (raw / f"{part}-images-idx3-ubyte").write_bytes(struct.pack(">4I", 2051, count, 28, 28) + pixels.tobytes())
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">2I", 2049, count) + labels.tobytes())
    return tmp_path / "sets"


@pytest.fixture
def source(tmp_path):
    def make(name, root=tmp_path / "sets", **options):
        return TorchvisionSet(name, str(root), cache_dir=str(tmp_path / "cache"), **options)

    return make


def test_a_set_of_train_and_test_keeps_its_parts_names_and_pixels(source, mnist):
    data = source("MNIST", mnist, download=False)
    inventory = data.scan()
    assert inventory.classes[3] == "3 - three"
    assert list(inventory.split).count("train") == 40 and list(inventory.split).count("test") == 20
    row = inventory.path.tolist().index("train/000013")
    assert inventory.label[row] == "3 - three"
    pixels = np.random.default_rng(40).integers(0, 256, (40, 28, 28), dtype=np.uint8)
    assert np.array_equal(data.reader(inventory)(row)[:, :, 0], pixels[13])


def test_a_set_of_splits_keeps_them_under_its_own_names(source, tmp_path, image_folder):
    parts = {"train": 4, "valid": 2, "test": 3}
    names = {
        f"{part}/{kind}/{n}.jpg": n for part, count in parts.items() for kind in ("AD", "CH") for n in range(count)
    }
    image_folder(names, tmp_path / "sets" / "country211")
    inventory = source("Country211", download=False).scan()
    assert [list(inventory.split).count(split) for split in ("train", "val", "test")] == [8, 4, 6]
    assert inventory.classes == ("AD", "CH")


def test_a_set_without_parts_is_drawn(source):
    data = source("FakeData", arguments=NO_PARTS)
    assert set(data.scan().split) == {""}
    data.prepare()
    assert data.classes == ("0", "1", "2")
    assert data.sizes["train"] > data.sizes["test"] > 0


def test_the_images_are_looked_at_once_while_their_files_stay(source, mnist, monkeypatch):
    before = source("MNIST", mnist, download=False).scan()
    opened = []
    monkeypatch.setattr(
        "datamodule.torchvision_set.open_parts", lambda *given: opened.append(given) or open_parts(*given)
    )
    assert source("MNIST", mnist, download=False).scan().digest == before.digest
    assert not opened
    (mnist / "MNIST" / "raw" / "note").touch()
    assert source("MNIST", mnist, download=False).scan().digest == before.digest
    assert opened


def test_a_damaged_memory_is_made_anew(source, mnist, tmp_path):
    before = source("MNIST", mnist, download=False).scan()
    next(tmp_path.rglob("torchvision/*.json")).write_text('{"files"')
    assert source("MNIST", mnist, download=False).scan().digest == before.digest


def test_a_reader_goes_to_other_processes_without_the_images(source, mnist):
    data = source("MNIST", mnist, download=False)
    inventory = data.scan()
    reader = data.reader(inventory)
    image = reader(5)
    assert len(pickle.dumps(reader)) < 10_000
    assert np.array_equal(pickle.loads(pickle.dumps(reader))(5), image)  # noqa: S301 our own


def test_where_the_network_is_closed_it_says_which_files_to_put_where(source, tmp_path, monkeypatch):
    def offline(*arguments, **options):
        raise URLError("no network")

    monkeypatch.setattr("torchvision.datasets.mnist.download_and_extract_archive", offline)
    with pytest.raises(ValueError, match=r"MNIST is not in .*no network") as caught:
        source("MNIST").scan()
    assert f"put its files into {tmp_path / 'sets' / 'MNIST' / 'raw'}: " in str(caught.value)
    for file in ("train-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"):
        assert file in str(caught.value)


def test_without_download_it_says_which_files_to_put_where(source, tmp_path):
    with pytest.raises(ValueError, match=r"Food101 is not in .*not found.*sets: http://\S*/food-101.tar.gz$"):
        source("Food101", download=False).scan()


def test_an_unknown_name_is_answered_with_the_nearest(source):
    with pytest.raises(ValueError, match=r"no data set 'CIFAR1'; the nearest for datamodule.name: CIFAR10"):
        source("CIFAR1").scan()


def test_arguments_it_does_not_take_are_refused(source):
    with pytest.raises(ValueError, match=r"FakeData refuses datamodule.arguments: .*'colour'"):
        source("FakeData", arguments={"colour": 1}).scan()
    with pytest.raises(ValueError, match=r"EMNIST refuses .*'nope'.*balanced"):
        source("EMNIST", arguments={"split": "nope"}).scan()


def test_targets_that_are_no_classes_are_refused():
    assert [label_of(target, ["a", "b"]) for target in (1, np.int64(0), None, -1)] == ["b", "a", "", ""]
    assert label_of(7, []) == "7"
    with pytest.raises(ValueError, match=r"target \(1, 2\) is no class number"):
        label_of((1, 2), [])


def test_names_of_several_words_are_joined():
    pairs = type("Pairs", (list,), {"classes": [("tench", "Tinca tinca"), "shark"]})()
    assert classes_of({"all": pairs}) == ["tench, Tinca tinca", "shark"]


def test_knows_what_each_class_takes():
    assert {"root", "split", "train", "download"} <= parameters(set_named("EMNIST"))
    assert "root" not in parameters(set_named("FakeData"))


def test_a_silent_network_is_not_waited_for_forever():
    before = socket.getdefaulttimeout()
    with patience(3.0):
        assert socket.getdefaulttimeout() == 3.0
    assert socket.getdefaulttimeout() == before


def test_an_image_that_cannot_be_read_has_no_size(source, tmp_path, image_folder):
    names = {
        f"{part}/{kind}/{n}.jpg": n for part in ("train", "valid", "test") for kind in ("AD", "CH") for n in range(3)
    }
    root = image_folder(names, tmp_path / "sets" / "country211")
    (root / "train" / "AD" / "1.jpg").write_bytes(b"")
    inventory = source("Country211", download=False).scan()
    assert inventory.path[inventory.width == 0].tolist() == ["train/000001"]
