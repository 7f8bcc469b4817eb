"""Images that stand for others of which the model is unsure (Bae, Noh, Sutherland 2025, arXiv:2412.20644)."""

import numpy as np

from active.strategies.herding import Cover, held_by, herd, scattered
from active.strategies.kernels import Gaussian
from active.strategies.margin import margin
from active.strategies.max_herding import MaxHerding, usual_width
from active.strategies.radius import distances
from active.strategies.strategy import Generator
from active.view import Array, Floats, Selection, View, unit
from active.worth import Worth


class UHerding(MaxHerding):
    """MaxHerding where each image counts as much as the model is unsure of it, and labelled ones not at all.

    Likeness is of the images and of what the model says of them (`joint`). width: null: `shrinking_width`. Without a
    model it is MaxHerding.
    """

    def choose(self, view: View, count: int, rng: Generator) -> Selection:
        if view.probs is None:
            return super().choose(view, count, rng)
        embedding = joint(view.embedding, view.probs)
        width = self.width or shrinking_width(embedding[view.labelled], usual_width(embedding))
        unsure = margin(view.probs).astype(np.float32)
        unsure[view.labelled] = 0
        places = scattered(np.arange(len(view)), self.most_reference, 0, rng)
        rows = scattered(view.pool, self.most_candidates, count, rng)
        kernel, reference = Gaussian(width), embedding[places]
        held = held_by(embedding[view.labelled], reference, kernel)
        cover = Cover(reference, unsure[places] / np.float32(len(places)), held, kernel)
        picks, gains = herd(cover, embedding[rows], rows, count, Worth(view))
        return Selection(picks, gains, f"the most like others that the model is unsure of (width {width:.3g})")


def joint(embedding: Floats, probs: Array) -> Floats:
    """Rows of length 1 (N, D + classes) whose squared distance is the mean of the embeddings' and of the square roots
    of the probabilities' (Hellinger's): a label speaks only for images that the model takes for the same.
    """
    return unit(np.hstack([embedding, np.sqrt(probs)]))


def shrinking_width(labelled: Floats, at_most: float) -> float:
    """The median distance of labelled images to their nearest labelled one, so that it shrinks as they grow dense.

    The paper takes the smallest one, which two images that are nearly equal decide. labelled: (L, D) rows of length 1.
    """
    if len(labelled) < 2:
        return at_most
    apart = distances(labelled, labelled)
    apart[apart <= 1e-3] = np.inf
    nearest = apart.min(axis=1)
    nearest = nearest[np.isfinite(nearest)]
    return min(float(np.median(nearest)), at_most) if len(nearest) else at_most
