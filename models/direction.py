"""Which way a figure should go, by its name; free of numpy, so that a configuration is checked at once."""

from typing import Literal

Mode = Literal["auto", "min", "max"]

LOWERED = ("loss", "error", "latency", "memory", "seconds", "parameters", "mae", "mse", "rmse", "ece", "nll", "brier")


def direction(figure: str, mode: Mode) -> Literal["min", "max"]:
    """Which way it should go; auto goes by its name."""
    if mode != "auto":
        return mode
    return "min" if lower_is_better(figure) else "max"


def lower_is_better(figure: str) -> bool:
    """By the words in its name: of val/loss, latency_ms, ece_calibrated."""
    name = figure.rpartition("/")[2].lower()
    return any(word in name for word in LOWERED)
