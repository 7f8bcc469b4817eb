"""Counts in words."""


def many(count: int, noun: str) -> str:
    """1 step, 1,570 steps: of a noun whose plural ends in s."""
    return f"{count:,} {noun}{'s' * (count != 1)}"


def images_a_second(rate: float) -> str:
    """0.04 images/s, 1 image/s, 1,570 images/s."""
    return f"{many(round(rate), 'image')}/s" if rate > 0.9 else f"{rate:.1g} images/s"
