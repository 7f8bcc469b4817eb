"""Counts in words."""


def many(count: int, noun: str) -> str:
    """1 step, 1,570 steps: of a noun whose plural ends in s."""
    return f"{count:,} {noun}{'s' * (count != 1)}"


def images_a_second(rate: float) -> str:
    """1 image/s, 1,570 images/s."""
    return f"{many(round(rate), 'image')}/s"
