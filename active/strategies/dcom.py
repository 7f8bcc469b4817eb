"""From covering to uncertainty as labels grow: dynamic coverage & margin (Mishal, Weinshall 2024, arXiv:2407.01804)."""

import numpy as np

from active.strategies.herding import Cover, gains_of, held_by, scattered
from active.strategies.kernels import Ball
from active.strategies.margin import margin
from active.strategies.prob_cover import ProbCover, layers
from active.strategies.radius import own_radii, pure_radius
from active.strategies.strategy import Generator
from active.view import Array, Places, Selection, View
from active.worth import Worth


class DCoM(ProbCover):
    """competence * uncertainty + (1 - competence) * share of what each pick would newly cover.

    turn, steepness: the coverage at which uncertainty takes over, and how abruptly. Each labelled image has a ball of
    its own size, as large as the model's guesses in it agree with its label.
    """

    def __init__(self, turn: float = 0.9, steepness: float = 30.0, **options: object) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        if not 0 < turn < 1 or steepness <= 0:
            raise ValueError(f"active.strategy.turn={turn}, steepness={steepness}: turn between 0 and 1, both above 0")
        self.turn, self.steepness = turn, steepness

    def choose(self, view: View, count: int, rng: Generator) -> Selection:
        if view.probs is None or not len(view.labelled):
            return super().choose(view, count, rng)
        radius = self.radius or pure_radius(view.embedding, view.probs.shape[1], self.purity, rng)
        places = scattered(np.arange(len(view)), self.most_reference, 0, rng)
        rows = scattered(view.pool, self.most_candidates, count, rng)
        held = self._held(view, places, radius)
        skill = competence(float(held.mean()), self.turn, self.steepness)
        weight = np.full(len(places), (1 - skill) / max(_largest_ball(view, places, rows, held, radius), 1), np.float32)
        bonus = skill * margin(view.probs)[rows]
        cover = Cover(view.embedding[places], weight, held, Ball(radius), bonus)
        picks, gains = layers(cover, view, rows, count, Worth(view))
        why = f"{held.mean():.1%} covered: {skill:.0%} by uncertainty, the rest by covering (radius {radius:.3g})"
        return Selection(picks, gains, why)

    def _held(self, view: View, places: Places, radius: float) -> Array:
        assert view.probs is not None
        centres, reference = view.embedding[view.labelled], view.embedding[places]
        guess = view.probs.argmax(axis=1)[places]
        radii = own_radii(centres, view.label[view.labelled], reference, guess, self.purity, radius)
        return held_by(centres, reference, Ball(radii))


def competence(coverage: float, turn: float, steepness: float) -> float:
    """0 where nothing is covered, 1 where all is; the paper's equation for S(L), bounded."""
    full = 1 + np.exp(-steepness * (1 - turn))
    return float(min(full / (1 + np.exp(-steepness * (coverage - turn))), 1.0))


def _largest_ball(view: View, places: Places, rows: Places, held: Array, radius: float) -> float:
    """Uncovered images in the fullest ball, by which coverage is scaled to at most 1."""
    cover = Cover(view.embedding[places], np.ones(len(places), np.float32), held, Ball(radius))
    return float(gains_of(cover, held, view.embedding[rows], np.arange(len(rows))).max(initial=0))
