"""Features of CIFAR-10's images that are learnt without a label, kept in a file once they are."""

from pathlib import Path

import numpy as np

from active.view import Array
from datamodule.folder import Folder
from datamodule.inventory import Rows

LENGTH = 3.0  # of a feature vector, about that of the digits' pixels, so that one penalty suits both
CENTRES = 256  # of patches


def cifar_features(kind: str, folder: Path, images: int, epochs: int, file: Path) -> tuple[Array, Array, Array, Array]:
    """Features and classes of `images` training images, on which the features are learnt, and of every third test
    image. kind: patches or simclr (`epochs` of it).
    """
    if not file.is_file():
        data = Folder(str(folder), cache_dir=".cache", val_share=0.0, mean=[0.5] * 3, std=[0.5] * 3)
        data.prepare()
        rows, tested = data.inventory.rows("train"), data.inventory.rows("test")[::3]
        rows = np.sort(np.random.default_rng(0).choice(rows, images, replace=False))
        features = patches(data, rows, tested) if kind == "patches" else simclr(data, rows, tested, epochs)
        codes = data.inventory.codes()
        np.savez(file, *scaled(*features), codes[rows], codes[tested])
    with np.load(file) as kept:
        pool, test, truth, right = (kept[name] for name in kept.files)
    return pool, truth, test, right


def scaled(pool: Array, test: Array) -> list[Array]:
    """Both moved and scaled alike, so that the pool's mean is 0 and its length `LENGTH`."""
    mean = pool.mean(0)
    length = np.sqrt(((pool - mean) ** 2).sum(1).mean())
    return [((part - mean) * (LENGTH / length)).astype(np.float32) for part in (pool, test)]


def simclr(data: Folder, rows: Rows, tested: Rows, epochs: int) -> tuple[Array, Array]:
    """(n, 512) of models=fast_net after `active.embeddings=ssl`'s training on `rows`, and of `tested`."""
    import torch

    from active.look import features_of
    from models.simclr import train_without_labels
    from models.speed import Speed
    from utils.build import build
    from utils.configuration import option

    torch.manual_seed(0)
    shape = {"num_classes": 10, "channels": 3, "height": 32, "width": 32}
    net = build(option("models", "fast_net") | {"kernel_size": 4, "stride": 2, "widths": [64, 128, 512]} | shape)
    train_without_labels(net, data, rows, epochs, seed=0, speed=Speed("bf16+channels_last"))
    return features_of(net, data, rows), features_of(net, data, tested)


def patches(data: Folder, rows: Rows, tested: Rows, size: int = 6, kept: int = 256) -> tuple[Array, Array]:
    """(n, kept) of both: likeness to k-means centres of whitened patches over quadrants (Coates & Ng 2012), by PCA."""
    from sklearn.cluster import MiniBatchKMeans
    from sklearn.decomposition import PCA

    images, others = data._training_store.read(rows), data._evaluation_store.read(tested)
    rng = np.random.default_rng(0)
    sampled = _patches(images[rng.choice(len(images), 2000, replace=False)], size)[:, rng.choice(729, 20)]
    flat = _normalised(sampled.reshape(-1, size * size * 3))
    values, vectors = np.linalg.eigh(np.cov(flat.T))
    mean, whiten = flat.mean(0), (vectors / np.sqrt(values + 0.1)) @ vectors.T
    found = MiniBatchKMeans(CENTRES, random_state=0, n_init=1, batch_size=4096).fit((flat - mean) @ whiten)
    codes = found.cluster_centers_.astype(np.float32)
    both = [
        np.concatenate([_pooled(one[at : at + 250], size, mean, whiten, codes) for at in range(0, len(one), 250)])
        for one in (images, others)
    ]
    scale = both[0].mean(0), both[0].std(0) + 1e-3
    both = [(one - scale[0]) / scale[1] for one in both]
    reduce = PCA(kept, random_state=0).fit(both[0])
    return reduce.transform(both[0]), reduce.transform(both[1])


def _patches(images: Array, size: int) -> Array:
    """(n, places, size * size * 3)"""
    windows = np.lib.stride_tricks.sliding_window_view(images, (size, size), axis=(1, 2))
    return windows.reshape(len(images), -1, 3 * size * size).astype(np.float32)


def _normalised(patches: Array) -> Array:
    centred = patches - patches.mean(1, keepdims=True)
    return centred / np.sqrt(centred.var(1, keepdims=True) + 10)


def _pooled(images: Array, size: int, mean: Array, whiten: Array, codes: Array) -> Array:
    """Coates & Ng's soft ("triangle") likeness to each centre, summed over the four quadrants."""
    patches = _patches(images, size)
    side = 32 - size + 1
    white = ((_normalised(patches.reshape(-1, patches.shape[2])) - mean) @ whiten).astype(np.float32)
    distance = np.sqrt(np.maximum((white**2).sum(1)[:, None] + (codes**2).sum(1) - 2 * white @ codes.T, 0))
    near = np.maximum(distance.mean(1, keepdims=True) - distance, 0).reshape(len(images), side, side, -1)
    half = side // 2
    halves = (slice(half), slice(half, None))
    return np.concatenate([near[:, rows, columns].sum((1, 2)) for rows in halves for columns in halves], axis=1)
