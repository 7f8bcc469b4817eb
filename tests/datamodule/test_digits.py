import numpy as np

from datamodule.digits import Digits, read_digits


def test_they_are_scikit_learns_at_full_contrast():
    from sklearn.datasets import load_digits

    theirs, (pixels, labels) = load_digits(), read_digits()
    assert np.array_equal(pixels[:, :, :, 0], (theirs.images * 255 // 16).astype(np.uint8))
    assert np.array_equal(labels, theirs.target)
    assert (pixels.min(), pixels.max()) == (0, 255)


def test_each_digit_is_in_each_split(tmp_path):
    data = Digits(cache_dir=str(tmp_path))
    data.prepare()
    assert data.classes == tuple("0123456789")
    found = set(zip(data.inventory.split, data.inventory.label, strict=True))
    assert len(found) == 30
    assert sum(data.sizes.values()) == 1797
