"""Whether a model's answers are still distributed as on its evaluation set, with a stated rate of false alarms.

What the network says of an image stands for the image (black-box shift detection, Lipton et al. 2018,
arXiv:1802.03916), and so does the image's embedding, which knows nothing of the network; their parts are tested one by
one and corrected for their number, which found most shifts in Rabanser et al. 2019 (arXiv:1810.11953).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import scipy  # loads its parts when they are first used
from numpy.typing import NDArray

from serving.monitoring.embedding import columns
from serving.monitoring.scores import Kept, in_steps

Array = NDArray[Any]

NO_EMBEDDINGS = "no reference of the images themselves"
FEWEST_EXPECTED = 5.0  # answers of a choice in either sample; rarer ones count together (Cochran 1954)


@dataclass(frozen=True)
class Verdict:
    """Of one window. p: corrected for the number of tests, so that it is compared with alpha as it is."""

    drifted: bool
    why: str
    p: float


class Finding(NamedTuple):
    """One test."""

    what: str
    p: float
    now: float
    then: float


def judge(reference: Kept, window: Kept, names: Sequence[str], alpha: float) -> Verdict:
    """Tests choices, confidence, scores and embeddings; of windows like the reference at most alpha are called drifted.

    The kinds that there are share alpha evenly, the scores and the embeddings' values their parts among them
    (Bonferroni, sound whatever depends on what). names: of the scores' columns.
    """
    kinds = [found for found in _tested(reference, window, names) if found]
    if not kinds:
        return Verdict(False, "these answers have nothing that could be compared", 1.0)
    corrected = [(min(1.0, one.p * len(kinds) * len(found)), one) for found in kinds for one in found]
    p, strongest = min(corrected, key=lambda pair: pair[0])
    sizes = f"{_count(window):,} answers against {_count(reference):,} of the evaluation set"
    sizes += "" if _embeddings(reference, window) else f"; {NO_EMBEDDINGS}"
    if p >= alpha:
        return Verdict(False, f"no drift: of {len(corrected)} tests the smallest p is {p:.2g} (corrected), {sizes}", p)
    told = f"{strongest.what} {strongest.now:.3g} against {strongest.then:.3g}"
    return Verdict(True, f"drift: {told}, p = {p:.2g} (corrected for {len(corrected)} tests), {sizes}", p)


def _tested(reference: Kept, window: Kept, names: Sequence[str]) -> Iterator[list[Finding]]:
    """The findings of each kind; none where one of the two has nothing of it."""
    if reference.choice is not None and window.choice is not None:
        yield [_choices(np.array(reference.choice, object), np.array(window.choice, object))]
    if reference.confidence is not None and window.confidence is not None:
        then, now = in_steps(reference.confidence), in_steps(window.confidence)
        yield [_numbers("the mean confidence is", then, now)]
    if reference.scores is not None and window.scores is not None:
        kind = _kind(reference)
        pairs = zip(names, reference.scores.T, window.scores.T, strict=True)
        yield [_numbers(f"the {kind} of {name} is", then, now) for name, then, now in pairs]
    if embeddings := _embeddings(reference, window):
        names = columns(embeddings[0].shape[1])
        pairs = zip(names, *(part.T for part in embeddings), strict=True)
        yield [_numbers(f"the images' mean {name} is", then, now) for name, then, now in pairs]


def _embeddings(reference: Kept, window: Kept) -> tuple[Array, Array] | None:
    """Of both, where they tell of the same values: another version's reference is none."""
    then, now = reference.embedding, window.embedding
    return None if then is None or now is None or then.shape[1] != now.shape[1] else (then, now)


def _kind(reference: Kept) -> str:
    """What the scores are."""
    if reference.confidence is None:
        return "mean"
    return "mean share" if reference.choice is None else "mean score"


def _numbers(what: str, then: Array, now: Array) -> Finding:
    return Finding(what, kolmogorov_smirnov(then, now), float(now.mean()), float(then.mean()))


def _choices(then: Array, now: Array) -> Finding:
    """Shares of the choices; told is the one that moved most."""
    names, places = np.unique(np.concatenate([then, now]), return_inverse=True)
    table = np.stack([np.bincount(part, minlength=len(names)) for part in (places[: len(then)], places[len(then) :])])
    shares = table / table.sum(1, keepdims=True)
    moved = int(np.argmax(np.abs(shares[1] - shares[0]) / np.sqrt(table.sum(0))))
    return Finding(
        f"the share of {names[moved]} is", chi_squared(table), float(shares[1, moved]), float(shares[0, moved])
    )


def kolmogorov_smirnov(first: Array, second: Array) -> float:
    """p of the two-sample test by its asymptotic distribution; on the safe side for ties and small samples."""
    values, places = np.unique(np.concatenate([first, second]), return_inverse=True)
    parts = (places[: len(first)], places[len(first) :])
    below = [np.cumsum(np.bincount(part, minlength=len(values))) / len(part) for part in parts]
    size = len(first) * len(second) / len(places)
    return float(scipy.special.kolmogorov(np.sqrt(size) * np.abs(below[0] - below[1]).max()))


def chi_squared(table: Array) -> float:
    """p of the test that two samples (2, choices) have the same shares; rare choices count together."""
    merged = _without_rare(table)
    if merged.shape[1] < 2:
        return 1.0
    expected = merged.sum(1, keepdims=True) * merged.sum(0) / merged.sum()
    return float(scipy.special.chdtrc(merged.shape[1] - 1, ((merged - expected) ** 2 / expected).sum()))


def _without_rare(table: Array) -> Array:
    """The rarest choices in one column, as many as it takes for every column to be expected often enough."""
    ordered = table[:, np.argsort(table.sum(0), kind="stable")]
    expected = ordered.sum(0) * ordered.sum(1).min() / ordered.sum()
    rare = int((expected < FEWEST_EXPECTED).sum())
    while 0 < rare < ordered.shape[1] and expected[:rare].sum() < FEWEST_EXPECTED:
        rare += 1
    return np.hstack([ordered[:, :rare].sum(1, keepdims=True), ordered[:, rare:]]) if rare else ordered


def _count(kept: Kept) -> int:
    return next(len(part) for part in kept if part is not None)
