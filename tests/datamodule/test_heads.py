import numpy as np
import pytest
import torch

from datamodule.csv_file import CsvFile
from datamodule.heads import heads_in
from datamodule.mixing import Mixup
from datamodule.randomness import Draws
from datamodule.transforms import Augmentation

SIZES = {"digit": 2, "colour": 3}
COLOURS = ("red", "green", "blue")


@pytest.fixture
def listed(image_folder, tmp_path):
    """Writes 60 images and a CSV of a digit and a colour for each, then of these lines, and gives its source."""

    def make(*lines, heads=SIZES, **options):
        root = image_folder({f"{number}.png": number for number in range(60)})
        told = [f"{number}.png,{number % 2},{COLOURS[number % 3]}" for number in range(60 - len(lines))]
        (root / "list.csv").write_text("\n".join(["path,digit,colour", *told, *lines]) + "\n")
        return CsvFile(str(root / "list.csv"), cache_dir=str(tmp_path / "cache"), heads=heads, **options)

    return make


def test_each_head_has_its_classes_in_a_column_of_its_own(listed):
    source = listed("59.png,,")
    source.prepare()
    assert source.kind == "heads"
    assert source.classes == ("digit=0", "digit=1", "colour=blue", "colour=green", "colour=red")
    place = {path: row for row, path in enumerate(source.inventory.path)}
    assert source.target[place["4.png"]].tolist() == [0, 3] and source.target[place["3.png"]].tolist() == [1, 4]
    assert source.inventory.path[source.inventory.rows("pool")].tolist() == ["59.png"]
    assert source.target[place["59.png"]].tolist() == [-1, -1]


def test_full_names_tell_the_heads():
    digit, colour = heads_in(["digit=0", "digit=1", "colour=a=b", "colour=c", "colour=d"])
    assert (digit.name, digit.classes, digit.columns) == ("digit", ("0", "1"), slice(0, 2))
    assert (colour.name, colour.classes, colour.columns) == ("colour", ("a=b", "c", "d"), slice(2, 5))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("59.png,,red", "59.png has no digit"),
        ("59.png,1,", "59.png has no colour"),
        ("59.png,1,pink", r"59.png is labelled colour=pink, which is none of"),
    ],
)
def test_a_class_that_is_missing_or_unknown_is_named_with_its_file_or_left_out(listed, line, said):
    names = ["digit=0", "digit=1", "colour=blue", "colour=green", "colour=red"]
    with pytest.raises(ValueError, match=said):
        listed(line, class_names=names).prepare()
    skipping = listed(line, class_names=names, on_bad_image="skip")
    skipping.prepare()
    assert [file for file, _ in skipping.skipped] == ["59.png"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"heads": {"digit": 3, "colour": 3}}, r"has the classes {'digit': 2, 'colour': 3}, .* says {'digit': 3"),
        ({"heads": {"digit": 1, "colour": 3}}, "digit needs at least 2 classes"),
        ({"heads": {"a=b": 2}}, "a head cannot be called 'a=b'"),
        (
            {"class_names": ["digit=0", "colour=blue", "digit=1", "colour=green", "colour=red"]},
            "list them head by head",
        ),
    ],
)
def test_heads_that_cannot_be_are_refused_by_name(listed, options, said):
    with pytest.raises(ValueError, match=said):
        listed(**options).prepare()


def test_a_class_without_a_training_image_is_named(image_folder, tmp_path):
    root = image_folder({f"{number}.png": number for number in range(8)})
    lines = [
        f"{number}.png,{number % 2},{'ab'[number == 7]},{'test' if number == 7 else 'train'}" for number in range(8)
    ]
    (root / "list.csv").write_text("\n".join(["path,digit,colour,split", *lines]))
    with pytest.raises(ValueError, match="no training image has the class colour=b"):
        CsvFile(str(root / "list.csv"), cache_dir=str(tmp_path), heads={"digit": 2, "colour": 2}).prepare()


def test_mixed_samples_have_shares_that_add_up_to_one_in_each_head():
    rows = np.arange(8)
    draws = Draws(0, np.zeros_like(rows), rows, np.zeros_like(rows), np.ones(8))
    target = torch.tensor([[k % 2, 2 + k % 3] for k in range(8)])
    image = torch.zeros(8, 3, 4, 4, dtype=torch.uint8)
    _, soft = Augmentation({"mixup": Mixup(1.0)}, 5)(image, target, draws)
    torch.testing.assert_close(soft[:, :2].sum(1), torch.ones(8))
    torch.testing.assert_close(soft[:, 2:].sum(1), torch.ones(8))
    assert ((soft > 0) & (soft < 1)).any(1).sum() >= 4
