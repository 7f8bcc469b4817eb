"""Small views for tests of strategies."""

import numpy as np

from active.view import View, unit


def view(images=60, classes=4, dimension=8, labelled=6, seed=0, model=True) -> View:
    """Clusters, one a class, with a model that is right most of the time."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(classes, size=images)
    centres = rng.normal(size=(classes, dimension)) * 3
    embedding = unit(centres[truth] + rng.normal(size=(images, dimension)))
    label = np.full(images, -1)
    label[:labelled] = truth[:labelled]
    key = rng.permutation(images).astype(np.uint64)
    if not model:
        return View(key, label, embedding)
    logits = 2 * np.eye(classes)[truth] + rng.normal(size=(images, classes))
    draws = np.stack([softmax(logits + rng.normal(size=logits.shape)) for _ in range(5)])
    return View(key, label, embedding, softmax(logits), embedding * 3, draws)


def softmax(logits):
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)
