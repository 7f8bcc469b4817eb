"""Images that stand for all others (Bae et al. 2024, arXiv:2407.12212)."""

import numpy as np

from active.strategies.herding import Cover, held_by, herd, refined, scattered
from active.strategies.kernels import Gaussian
from active.strategies.radius import distances
from active.strategies.strategy import Generator, Strategy
from active.view import Floats, Selection, View
from active.worth import Worth

SAMPLED = 1000
MOST_REFINED, REFINED_AMONG, ROUNDS = 50, 2000, 3  # picks, candidates, turns of the first batch's refinement


class MaxHerding(Strategy):
    """Each pick raises the mean likeness of all images to their nearest labelled or picked one the most.

    width: of the Gaussian likeness; null: `usual_width`. most_reference, most_candidates: images looked at, drawn from
    larger pools.
    """

    def __init__(self, width: float | None = None, most_reference: int = 8192, most_candidates: int = 35_000) -> None:
        if width is not None and width <= 0:
            raise ValueError(f"active.strategy.width={width}: give a number above 0, or null")
        self.width, self.most_reference, self.most_candidates = width, most_reference, most_candidates

    def choose(self, view: View, count: int, rng: Generator) -> Selection:
        width = self.width or usual_width(view.embedding)
        reference = view.embedding[scattered(np.arange(len(view)), self.most_reference, 0, rng)]
        rows = scattered(view.pool, self.most_candidates, count, rng)
        kernel = Gaussian(width)
        held = held_by(view.embedding[view.labelled], reference, kernel)
        weight = np.full(len(reference), 1 / len(reference), np.float32)
        cover = Cover(reference, weight, held, kernel)
        picks, gains = herd(cover, view.embedding[rows], rows, count, Worth(view))
        if not len(view.labelled) and 1 < count <= MOST_REFINED:
            among = np.union1d(scattered(rows, REFINED_AMONG, 0, rng), picks)
            picks, gains = refined(cover, view.embedding[among], among, picks, Worth(view), ROUNDS)
        why = f"the most like all others (width {width:.3g}); coverage {held.mean():.1%}"
        return Selection(picks, gains, why)


def usual_width(embedding: Floats) -> float:
    """Three quarters of the median distance between images of a sample. embedding: (N, D) rows of length 1."""
    sample = embedding[:: max(1, len(embedding) // SAMPLED)][:SAMPLED]
    apart = distances(sample, sample)[np.triu_indices(len(sample), 1)]
    apart = apart[apart > 1e-3]
    return 0.75 * float(np.median(apart)) if len(apart) else 1.0
