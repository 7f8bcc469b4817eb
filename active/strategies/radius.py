"""How far an image speaks for its neighbours: the radius of balls that are pure."""

import numpy as np

from active.strategies.clusters import k_means
from active.strategies.herding import some
from active.view import Array, Floats, Places

SAMPLED = 2000
TRIED = 40


def pure_radius(embedding: Floats, classes: int, purity: float, rng: np.random.Generator) -> float:
    """The largest distance within which at least `purity` of the images have only neighbours of their own cluster.

    Clusters stand for classes: k-means with as many (ProbCover's rule). embedding: (N, D) rows of length 1.
    """
    sample = embedding[some(len(embedding), SAMPLED, rng)]
    own = k_means(sample, max(classes, 2), rng)
    distance = distances(sample, sample)
    other = np.where(own[:, None] != own[None], distance, np.inf).min(axis=1)  # to the nearest of another cluster
    tried = np.quantile(distance, np.linspace(0, 0.5, TRIED))
    pure = [radius for radius in tried if (other > radius).mean() >= purity]
    return float(max(pure, default=tried[1]))


def distances(first: Floats, second: Floats) -> Array:
    """(n, m) between rows of length 1."""
    return np.sqrt(np.maximum(2 - 2 * (first @ second.T), 0))


def own_radii(centres: Floats, label: Places, reference: Floats, guess: Places, purity: float, usual: float) -> Array:
    """Each labelled image's ball (L,): as large as `purity` of the images in it are guessed to be of its class.

    guess: (R,) the model's classes of the reference. At most twice, at least half the usual radius.
    """
    found = np.empty(len(centres))
    for number, centre in enumerate(centres):
        distance = distances(reference, centre[None])[:, 0]
        order = np.argsort(distance, kind="stable")
        share = np.cumsum(guess[order] == label[number]) / np.arange(1, len(order) + 1)
        good = np.flatnonzero(share >= purity)
        found[number] = distance[order[good[-1]]] if len(good) else 0.0
    return np.clip(found, usual / 2, usual * 2)
