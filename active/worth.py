"""What gains are multiplied by: cost, chance and the balance of classes, for every strategy alike."""

import numpy as np

from active.view import UNLABELLED, Array, Places, View


class Worth:
    """Factor on each image's gain; it never rises while a batch is chosen, so that lazy searches stay exact.

    With `balance` an image counts 1 / sqrt(1 + labels and picks of the class that the model guesses).
    """

    def __init__(self, view: View) -> None:
        self.fixed = np.ones(len(view)) if view.worth is None else view.worth
        self.guess: Places | None = None
        if view.balance and view.probs is not None:
            self.guess = view.probs.argmax(1)
            self.held = np.bincount(view.label[view.label != UNLABELLED], minlength=view.probs.shape[1])

    def of(self, rows: Places | slice) -> Array:
        """(len(rows),)"""
        if self.guess is None:
            return self.fixed[rows]
        return self.fixed[rows] / np.sqrt(1.0 + self.held[self.guess[rows]])

    def took(self, row: int) -> None:
        """One more of its class."""
        if self.guess is not None:
            self.held[self.guess[row]] += 1


def gumbel(count: int, temperature: float, rng: np.random.Generator) -> Array:
    """Factors (count,) that make the best of gains * factors a draw in proportion to gain^(1/temperature).

    Stochastic batch acquisition (Kirsch et al. 2023, arXiv:2106.12059).
    """
    return np.exp(temperature * rng.gumbel(size=count))
