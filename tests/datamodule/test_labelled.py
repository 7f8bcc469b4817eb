"""Which images of another folder a model is judged by."""

import pytest
from PIL import Image

from datamodule.folder import Folder
from datamodule.labelled import Labelled, labelled_images
from datamodule.preprocessing import Preprocessing

SHAPE = Preprocessing(4, 4, 3, (0.5,) * 3, (0.5,) * 3)


def folder(root, *files):
    for number, name in enumerate(files):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (6, 5), number + 1).save(root / name)
    return Folder(str(root), cache_dir=str(root.parent / "cache"))


def test_all_images_count_unless_a_test_split_is_given(tmp_path):
    whole = folder(tmp_path / "whole", "a/1.png", "b/2.png", "loose.png")
    parts = folder(tmp_path / "parts", "train/a/1.png", "test/a/2.png", "test/b/3.png")
    for source, names in ((whole, ["a/1.png", "b/2.png"]), (parts, ["test/a/2.png", "test/b/3.png"])):
        inventory, skipped = labelled_images(source, ["b", "a", "c"], source.root)
        assert inventory.path.tolist() == names and not skipped
        assert inventory.codes().tolist() == [1, 0]  # in the model's order


def test_images_are_seen_through_the_models_preprocessing_as_one_test_split(tmp_path):
    source = folder(tmp_path / "whole", "a/1.png", "b/2.png")
    data = Labelled(source, *labelled_images(source, ["a", "b"], source.root), SHAPE)
    data.prepare()
    [batch] = data.test_dataloader()
    assert batch.image.shape == (2, 4, 4, 3) and batch.target.tolist() == [0, 1]
    assert data.sizes == {"train": 0, "val": 0, "test": 2, "pool": 0}


def test_labels_that_the_model_does_not_know_are_named(tmp_path):
    source = folder(tmp_path / "whole", "a/1.png", "zebra/2.png")
    with pytest.raises(ValueError, match="does not know: zebra; it knows a, b"):
        labelled_images(source, ["a", "b"], source.root)


def test_a_folder_without_labels_is_refused(tmp_path):
    source = folder(tmp_path / "whole", "1.png")
    with pytest.raises(ValueError, match="none of its 1 images has a label"):
        labelled_images(source, ["a", "b"], source.root)
