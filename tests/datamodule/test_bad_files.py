"""Strange files among the images of a training or test set: read as what they show, or named with a reason."""

import numpy as np
import pytest
from PIL import Image

from datamodule.folder import Folder
from datamodule.labelled import Labelled, labelled_images
from datamodule.preprocessing import Preprocessing

SHAPE = Preprocessing(12, 12, 3, (0.5,) * 3, (0.5,) * 3)
BAD = {"a/caf\\xe9.png", "a/empty.jpg", "a/text.jpg", "a/truncated.jpg", "b/huge.png", "b/truncated.png"}


@pytest.fixture
def odd(tmp_path, picture, encoded):
    """Eight good images of two classes, strange ones that can be read, and six that cannot be read or named."""
    root, rgb = tmp_path / "odd", Image.fromarray(picture(height=40, width=50))
    gray16 = Image.fromarray(np.arange(400, dtype=np.uint16).reshape(20, 20) * 100)
    files = {f"{'ab'[number % 2]}/{number}.png": encoded(picture(number), "PNG") for number in range(8)}
    files |= {
        "a/animated.gif": encoded(rgb, "GIF", save_all=True, append_images=[rgb.rotate(90)]),
        "a/caf\udce9.png": encoded(picture(9), "PNG"),  # Latin-1 on the disk
        "a/cmyk.jpg": encoded(rgb.convert("CMYK")),
        "a/empty.jpg": b"",
        "a/text.jpg": b"this is no image",
        "a/truncated.jpg": encoded(rgb)[:-300],
        "b/huge.png": encoded(Image.new("1", (10001, 10000)), "PNG"),
        "b/palette.png": encoded(rgb.convert("P"), "PNG"),
        "b/sixteen.png": encoded(gray16, "PNG"),
        "b/truncated.png": encoded(rgb, "PNG")[:-200],
    }
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def source(root, tmp_path, on_bad_image):
    return Folder(
        str(root), cache_dir=str(tmp_path / "cache"), on_bad_image=on_bad_image, height=12, width=12, channels=3
    )


def test_training_names_them_all_or_leaves_them_out(odd, tmp_path):
    with pytest.raises(ValueError, match="cannot use [1-6] of 18 images") as refused:
        source(odd, tmp_path, "raise").prepare()
    reasons = (
        r"a/caf\xe9.png has a name that is not UTF-8",
        "a/empty.jpg is empty",
        "a/text.jpg cannot be decoded: is none of JPEG",
        "b/huge.png has 10001 x 10000 pix",
    )
    assert all(reason in str(refused.value) for reason in reasons)
    data = source(odd, tmp_path, "skip")
    data.prepare()
    assert {file for file, _ in data.skipped} == BAD
    assert len(data.inventory) == 12 and all(reason for _, reason in data.skipped)


def test_a_test_set_names_them_all_or_leaves_them_out(odd, tmp_path):
    raising, skipping = (source(odd, tmp_path, wanted) for wanted in ("raise", "skip"))
    with pytest.raises(ValueError, match="cannot use [1-6] of 18 images"):
        labelled_images(raising, ["a", "b"], odd)
    data = Labelled(skipping, *labelled_images(skipping, ["a", "b"], odd), SHAPE)
    data.prepare()
    assert {file for file, _ in data.skipped} == BAD and len(data.inventory) == 12
