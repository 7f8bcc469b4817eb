"""The images whose balls cover most of the others (Yehuda et al. 2022, arXiv:2205.11320)."""

import numpy as np

from active.strategies.herding import Cover, held_by, herd, scattered
from active.strategies.kernels import Ball
from active.strategies.radius import pure_radius
from active.strategies.strategy import Generator, Strategy
from active.view import Places, Selection, View
from active.worth import Worth


class ProbCover(Strategy):
    """Each pick covers the most images that no labelled or picked one covers.

    radius: of the balls; null: as large as `purity` of them stay within a cluster. classes: clusters for that.
    most_reference, most_candidates: images looked at, drawn from larger pools.
    """

    def __init__(
        self,
        radius: float | None = None,
        purity: float = 0.95,
        classes: int = 10,
        most_reference: int = 20_000,
        most_candidates: int = 20_000,
    ) -> None:
        if (radius is not None and radius <= 0) or not 0 < purity <= 1:
            raise ValueError(f"active.strategy.radius={radius}, purity={purity}: give above 0, and purity up to 1")
        self.radius, self.purity, self.classes = radius, purity, classes
        self.most_reference, self.most_candidates = most_reference, most_candidates

    def choose(self, view: View, count: int, rng: Generator) -> Selection:
        classes = self.classes if view.probs is None else view.probs.shape[1]
        radius = self.radius or pure_radius(view.embedding, classes, self.purity, rng)
        reference = view.embedding[scattered(np.arange(len(view)), self.most_reference, 0, rng)]
        rows = scattered(view.pool, self.most_candidates, count, rng)
        kernel, worth = Ball(radius), Worth(view)
        held = held_by(view.embedding[view.labelled], reference, kernel)
        cover = Cover(reference, np.full(len(reference), 1 / len(reference), np.float32), held, kernel)
        why = f"their balls of radius {radius:.3g} cover most; {held.mean():.1%} were covered"
        picks, gains = layers(cover, view, rows, count, worth)
        return Selection(picks, gains, why)


def layers(cover: Cover, view: View, rows: Places, count: int, worth: Worth) -> tuple[Places, np.ndarray]:
    """Picks; when all is covered the covering begins anew."""
    picks, gains = herd(cover, view.embedding[rows], rows, count, worth)
    useful = max(int((gains > 0).sum()), 1)
    if useful == count:
        return picks, gains
    rest = np.setdiff1d(rows, picks[:useful])
    uncovered = Cover(cover.reference, cover.weight, np.zeros_like(cover.held), cover.kernel)
    more, more_gains = layers(uncovered, view, rest, count - useful, worth)
    return np.concatenate([picks[:useful], more]), np.concatenate([gains[:useful], more_gains])
