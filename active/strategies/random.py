"""The reference: images at random."""

from active.strategies.strategy import Generator, Strategy, at_random
from active.view import Selection, View


class Random(Strategy):
    """Every image is as likely as any other."""

    def choose(self, view: View, count: int, rng: Generator) -> Selection:
        return at_random(view, count, rng, "drawn at random")
