"""Shares of what was answered: how often each choice was given; of masks, how much of the pixels each class covers."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from sqlalchemy import Row

from serving.monitoring.scores import Kept

NONE = Kept(None, None, None)
Shares = dict[str, float]


def shares_of(shown: Kept, classes: Sequence[str] | None) -> Shares:
    """By name, the sum is 1. classes: those of masks; None for all other answers. Empty where nothing is known."""
    if classes is None:
        counts = Counter(shown.choice or ())
        return {name: count / counts.total() for name, count in counts.items()}
    if shown.scores is None or not len(shown.scores):
        return {}
    return dict(zip(classes, np.mean(shown.scores, axis=0).tolist(), strict=True))


def shown_by(rows: Sequence[Row[Any]], classes: Sequence[str] | None) -> Kept:
    """What rows of the table `prediction` say of that; those of masks are of one model."""
    if classes is None:
        return NONE._replace(choice=[row.choice for row in rows if row.choice is not None])
    return NONE._replace(scores=np.array([row.scores for row in rows if row.scores is not None]))
