"""Images that stand for others of which the model is unsure (Bae et al. 2025, arXiv:2412.20644)."""

import numpy as np

from active.strategies.herding import Cover, held_by, herd, scattered
from active.strategies.kernels import Gaussian
from active.strategies.margin import margin
from active.strategies.max_herding import MaxHerding, usual_width
from active.strategies.radius import distances
from active.strategies.strategy import Generator
from active.view import Floats, Selection, View
from active.worth import Worth


class UHerding(MaxHerding):
    """MaxHerding where each image counts as much as the model is unsure of it, and labelled ones not at all.

    width: null: the smallest distance between labelled images, so that it shrinks as they grow dense. Without a model
    it is MaxHerding.
    """

    def choose(self, view: View, count: int, rng: Generator) -> Selection:
        if view.probs is None:
            return super().choose(view, count, rng)
        width = self.width or shrinking_width(view.embedding[view.labelled], usual_width(view.embedding))
        unsure = margin(view.probs).astype(np.float32)
        unsure[view.labelled] = 0
        places = scattered(np.arange(len(view)), self.most_reference, 0, rng)
        rows = scattered(view.pool, self.most_candidates, count, rng)
        kernel, reference = Gaussian(width), view.embedding[places]
        held = held_by(view.embedding[view.labelled], reference, kernel)
        cover = Cover(reference, unsure[places] / np.float32(len(places)), held, kernel)
        picks, gains = herd(cover, view.embedding[rows], rows, count, Worth(view))
        return Selection(picks, gains, f"the most like others that the model is unsure of (width {width:.3g})")


def shrinking_width(labelled: Floats, at_most: float) -> float:
    """The smallest distance between two labelled images that is not zero; (L, D) rows of length 1."""
    if len(labelled) < 2:
        return at_most
    apart = distances(labelled, labelled)[np.triu_indices(len(labelled), 1)]
    apart = apart[apart > 1e-3]
    return min(float(apart.min()), at_most) if len(apart) else at_most
