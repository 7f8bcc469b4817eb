import io
import time
from itertools import combinations

import numpy as np
import pytest
from PIL import Image

from datamodule.duplicates import LEAST, MOST_BITS, candidates, exceptional_likeness, near_pairs, standardised
from datamodule.looks import look_at, looks_of


@pytest.fixture
def different(photograph):
    return [photograph(seed) for seed in range(60)]


def looks(images):
    return look_at(images.__getitem__, np.arange(len(images)))[0]


def jpeg(image, quality):
    data = io.BytesIO()
    Image.fromarray(image).save(data, "JPEG", quality=quality)
    return np.asarray(Image.open(data))


def smaller(image):
    return np.asarray(Image.fromarray(image).resize((30, 36)))


def lighter(image):
    return np.clip(image * 1.05 + 4, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    "change", [lambda image: jpeg(image, 40), smaller, lighter], ids=["jpeg", "smaller", "lighter"]
)
def test_finds_every_changed_copy_and_nothing_else(different, change):
    images = [*different, *(change(image) for image in different)]
    pairs, likeness = near_pairs(looks(images))
    np.testing.assert_array_equal(pairs, [(number, number + 60) for number in range(60)])
    assert (likeness > LEAST).all()


def test_finds_most_copies_that_are_shifted_by_a_pixel(different):
    pairs, _ = near_pairs(looks([*different, *(np.roll(image, 1, axis=1) for image in different)]))
    assert len(pairs) > 50 and (pairs[:, 1] - pairs[:, 0] == 60).all()


def test_two_colours_of_one_motif_are_two_images(different):
    red, blue = different[0].copy(), different[0].copy()
    red[..., 0], blue[..., 2] = 255, 255
    red[..., 2], blue[..., 0] = 0, 0
    assert len(near_pairs(looks([red, blue]))[0]) == 0


def test_candidates_are_all_pairs_within_the_bits_and_no_other():
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**63, 40, dtype=np.uint64)
    near = [
        value ^ np.bitwise_or.reduce(np.uint64(1) << rng.choice(63, bits, False).astype(np.uint64))
        for bits, value in enumerate(hashes[: MOST_BITS + 4])
        if bits
    ]
    hashes = np.concatenate((hashes, np.array(near)))
    found = {tuple(pair) for part in candidates(hashes) for pair in part.tolist()}
    expected = {
        (a, b) for a, b in combinations(range(len(hashes)), 2) if np.bitwise_count(hashes[a] ^ hashes[b]) <= MOST_BITS
    }
    assert found == expected and len(found) >= MOST_BITS


def test_images_that_are_always_alike_must_be_more_alike_to_be_one():
    rng = np.random.default_rng(0)
    common = rng.normal(0, 40, (16, 16))
    alike = np.clip(128 + common + rng.normal(0, 14, (400, 16, 16)), 0, 255).astype(np.uint8)
    unlike = np.clip(128 + rng.normal(0, 40, (400, 16, 16)), 0, 255).astype(np.uint8)
    assert exceptional_likeness(standardised(unlike)) == LEAST
    assert exceptional_likeness(standardised(alike)) > 0.93


def test_no_image_has_no_pair():
    assert near_pairs(looks_of(np.zeros((0, 32, 32, 3), np.uint8)))[0].shape == (0, 2)


def test_time_grows_with_the_images_and_not_with_their_pairs():
    """10,000 hashes have 50 million pairs."""
    hashes = np.random.default_rng(0).integers(0, 2**63, 10_000, dtype=np.uint64)
    start = time.process_time()
    assert sum(len(part) for part in candidates(hashes)) < 100
    assert time.process_time() - start < 10
