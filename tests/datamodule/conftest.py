"""Small image sets, made on the spot."""

import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datamodule.inventory import inventory_of


@pytest.fixture
def picture():
    """A reproducible smooth colour image: (seed, height, width) → (H, W, 3) uint8."""

    def make(seed=0, height=12, width=16):
        small = np.random.default_rng(seed).integers(0, 256, (3, 4, 3), dtype=np.uint8)
        return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))

    return make


@pytest.fixture
def photograph():
    """The same with structure of every size, fainter the finer, as photographs have."""

    def make(seed=0, height=48, width=48):
        rng = np.random.default_rng(seed)
        frequency = np.hypot(
            *np.meshgrid(np.fft.fftfreq(height) * height, np.fft.fftfreq(width) * width, indexing="ij")
        )
        spectrum = np.fft.fft2(
            rng.normal(size=(height, width, 1)) + 0.3 * rng.normal(size=(height, width, 3)), axes=(0, 1)
        )
        image = np.fft.ifft2(spectrum / (1 + frequency[..., None]), axes=(0, 1)).real
        return np.clip(128 + 50 * image / image.std(), 0, 255).astype(np.uint8)

    return make


@pytest.fixture
def encoded():
    """An image file's bytes: (Pillow image or array, format, options of Pillow)."""

    def encode(image, kind="JPEG", **options):
        data = io.BytesIO()
        (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(data, kind, **options)
        return data.getvalue()

    return encode


@pytest.fixture
def image_folder(tmp_path, picture, encoded):
    """Writes PNG files, path → seed of its picture, and gives their folder."""

    def write(files: dict[str, int], root: Path = tmp_path / "images", **size: int) -> Path:
        for name, seed in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(encoded(picture(seed, **size), "PNG"))
        return root

    return write


@pytest.fixture
def made_up():
    """An inventory without files: columns of words by keyword; contents default to a hash of the path."""

    def make(paths, classes=None, **columns):
        sha256 = [hashlib.sha256(path.encode()).hexdigest() for path in paths]
        given = {"path": paths, "sha256": sha256, "width": 8, "height": 8, "source": "made up", **columns}
        labels = columns.get("label", [])
        return inventory_of(Path("made up"), given, classes or sorted(set(labels) - {""}))

    return make
