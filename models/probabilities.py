"""From logits to probabilities; free of torch and scipy, for servers that run without and start at once."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def probabilities(logits: Array, temperature: float = 1.0) -> Array:
    """Softmax of (samples, classes) logits divided by the temperature; log-probabilities serve as logits too."""
    scaled = np.asarray(logits, np.float64) / temperature
    shares = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))


def label_probabilities(logits: Array, temperature: float = 1.0) -> Array:
    """Sigmoid of (samples, labels) logits divided by the temperature: each label on its own."""
    return np.asarray(np.exp(-np.logaddexp(0, -np.asarray(logits, np.float64) / temperature)))


def temperatures(temperature: float | list[float] | None, heads: Sequence[Any]) -> list[float | None]:
    """Each head's."""
    return list(temperature) if isinstance(temperature, list) else [temperature] * len(heads)
