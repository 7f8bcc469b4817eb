"""Counts in words, and values as a person writes them."""

from collections.abc import Mapping
from typing import Any


def many(count: int, noun: str) -> str:
    """1 step, 1,570 steps: of a noun whose plural ends in s."""
    return f"{count:,} {noun}{'s' * (count != 1)}"


def images_a_second(rate: float) -> str:
    """0.04 images/s, 1 image/s, 1,570 images/s."""
    return f"{many(round(rate), 'image')}/s" if rate > 0.9 else f"{rate:.1g} images/s"


def written(value: Any) -> str:
    """A plain value as JSON, YAML and a command line have it: null, true, [1, 'a']."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(written, value))}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {written(one)}' for key, one in value.items())}}}"
    return repr(value)


def figure(value: float) -> str:
    """0.9375, 1,570: in six digits, or in as many as a whole number has."""
    return f"{value:,.0f}" if value.is_integer() else f"{value:g}"
