"""Whether a new model goes live in the place of the deployed one: rules, and the words in which each says why."""

import csv
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from models.direction import lower_is_better
from models.scores import OF_A_CLASS, TITLES
from utils.signature import nearest
from utils.statistics import McNemar, mcnemar, paired_bootstrap

Array = NDArray[Any]
LEADING = {
    "classification": "accuracy",
    "heads": "exact_match",
    "multilabel": "map",
    "regression": "mae",
    "segmentation": "mean_iou",
}
BINS = 15  # of the calibration error


@dataclass(frozen=True)
class Verdict:
    """What is done, and why, in a sentence that a person reads."""

    promote: bool
    why: str


@dataclass(frozen=True)
class Measured:
    """A model on an evaluation set. table: gives the set's predictions as a run writes them (CSV), or None."""

    name: str
    task: str
    figures: Mapping[str, float | None]
    images: int
    parameters: int
    table: Callable[[], str | None] = field(repr=False, default=lambda: None)

    @cached_property
    def answers(self) -> list[dict[str, str]]:
        """A row for each image; empty where the predictions were not kept."""
        text = self.table()
        return [] if text is None else list(csv.DictReader(io.StringIO(text)))


class Rule(Protocol):
    """How a challenger is judged against the deployed model, on the same evaluation set."""

    def judge(self, challenger: Measured, deployed: Measured) -> Verdict: ...


class ByHand:
    """Nothing goes live by itself."""

    def judge(self, challenger: Measured, deployed: Measured) -> Verdict:
        return Verdict(False, "promotion=by_hand: a person decides")


class Better:
    """The higher figure wins; equal models stay. It promotes an equal model about every second time, by chance."""

    def __init__(self, metric: str | None = None, min_delta: float = 0.0) -> None:
        if min_delta < 0:
            raise ValueError(f"promotion.min_delta={min_delta} would put worse models live: use 0 or more")
        if metric is not None:
            _refuse_unknown(metric)
        self.metric, self.min_delta = metric, min_delta

    def judge(self, challenger: Measured, deployed: Measured) -> Verdict:
        name = self.metric or LEADING[challenger.task]
        new, live = challenger.figures.get(name), deployed.figures.get(name)
        if new is None or live is None:
            return Verdict(False, f"{name} was not measured for both models")
        gain = (live - new) if lower_is_better(name) else (new - live)
        margin = f", {self.min_delta:g} asked for" if self.min_delta else ""
        told = f"{TITLES.get(name, name)} {new:.4f} against {live:.4f} of the deployed {deployed.name}{margin}"
        return Verdict(gain > self.min_delta, f"{'better' if gain > self.min_delta else 'not better'}: {told}")


def _refuse_unknown(metric: str) -> None:
    """metric: of a whole evaluation set, after "head/" where there are several."""
    name, known = metric.rpartition("/")[2], [one for one in TITLES if one not in OF_A_CLASS]
    if name not in known:
        raise ValueError(f"promotion.metric={metric}: no model is measured by that; {nearest(name, known)}")


class Significant:
    """Better beyond chance, and no class and not the calibration pays for it.

    alpha: of the one-sided exact McNemar test (paired bootstrap where answers are not right or wrong).
    max_recall_drop: a class may lose no more than this beyond chance. max_ece_rise: nor may the calibration error grow
    by more. smaller_margin: a model with fewer parameters goes live if it is surely no more than this worse.
    """

    def __init__(
        self,
        alpha: float = 0.05,
        max_recall_drop: float = 0.03,
        max_ece_rise: float = 0.02,
        smaller_margin: float = 0.005,
    ) -> None:
        if not 0 < alpha < 0.5:
            raise ValueError(f"promotion.alpha={alpha}: use a number between 0 and 0.5")
        for name, value in (("max_recall_drop", max_recall_drop), ("max_ece_rise", max_ece_rise)):
            if not 0 <= value <= 1:
                raise ValueError(f"promotion.{name}={value} is a share: use a number from 0 to 1")
        self.alpha, self.max_recall_drop, self.max_ece_rise = alpha, max_recall_drop, max_ece_rise
        self.smaller_margin = smaller_margin

    def judge(self, challenger: Measured, deployed: Measured) -> Verdict:
        pair = paired(challenger, deployed)
        if pair is None:
            return Verdict(False, "the two models' answers were not kept for the same images, so they cannot be paired")
        scores = [np.array([merit(challenger.task, row) for row in rows]) for rows in pair]
        verdict = self._right_or_wrong(scores, challenger, deployed) if _binary(scores) else self._values(scores)
        guards = self._guards(pair) if verdict.promote else []
        return Verdict(False, f"{verdict.why}; but {'; '.join(guards)}") if guards else verdict

    def _right_or_wrong(self, scores: list[Array], challenger: Measured, deployed: Measured) -> Verdict:
        found = mcnemar(scores[0] > 0, scores[1] > 0)
        p = one_sided(found)
        chance = f"a true gain of {100 * found.effect:.0f} point is found with a chance of {100 * found.power:.0f} %"
        told = (
            f"right where the deployed {deployed.name} is wrong {found.gained} times, the reverse {found.lost} times "
            f"on {found.images:,} images (exact McNemar, one-sided p = {p:.3g}; {chance})"
        )
        if p < self.alpha:
            return Verdict(True, f"significantly better: {told}")
        if challenger.parameters < deployed.parameters and lower_bound(found) > -self.smaller_margin:
            return Verdict(True, f"smaller and no worse by more than {100 * self.smaller_margin:g} points: {told}")
        return Verdict(False, f"not significantly better: {told}")

    def _values(self, scores: list[Array]) -> Verdict:
        columns = [{"merit": own[:, None], "one": np.ones((len(own), 1))} for own in scores]
        found = paired_bootstrap(
            columns[0], columns[1], lambda sums: {"mean": sums["merit"] / sums["one"]}, np.random.default_rng(0),
            level=1 - 2 * self.alpha,
        )["mean"][0]  # fmt: skip
        if found is None:
            return Verdict(False, "the difference of the two models is not a number")
        told = f"mean gain an image {found.value:+.4g} ({found.low:+.4g} – {found.high:+.4g}, paired bootstrap)"
        return Verdict(found.low > 0, f"{'' if found.low > 0 else 'not '}significantly better: {told}")

    def _guards(self, pair: tuple[list[dict[str, str]], list[dict[str, str]]]) -> list[str]:
        """What speaks against it: classes that lose, a calibration that suffers. Of single classes alone."""
        if "label" not in pair[0][0] or "probability" not in pair[0][0]:
            return []
        new, live = (np.array([row["predicted"] == row["label"] for row in rows]) for rows in pair)
        labels = np.array([row["label"] for row in pair[0]])
        each = [self._loses(name, new[labels == name], live[labels == name]) for name in np.unique(labels)]
        said = [line for line in each if line]
        errors = [calibration_error(right, _confidences(rows)) for right, rows in zip((new, live), pair, strict=True)]
        if errors[0] > errors[1] + self.max_ece_rise:
            said.append(f"its calibration error is {errors[0]:.3f} against {errors[1]:.3f}")
        return said

    def _loses(self, name: str, new: Array, live: Array) -> str:
        """Of a class whose recall drops by more than is allowed, beyond chance."""
        drop, test = float(live.mean() - new.mean()), mcnemar(live, new)
        beyond = drop > self.max_recall_drop and one_sided(test) < self.alpha
        return f"class {name} loses {100 * drop:.1f} points of recall ({len(new)} images)" if beyond else ""


def paired(first: Measured, second: Measured) -> tuple[list[dict[str, str]], list[dict[str, str]]] | None:
    """The answers of both, image by image, or None where they are not of the same images."""
    own, other = ({row["path"]: row for row in one.answers} for one in (first, second))
    if not own or own.keys() != other.keys():
        return None
    return list(own.values()), [other[path] for path in own]


def merit(task: str, row: dict[str, str]) -> float:
    """How good one answer is, the higher the better: 1 or 0 for right or wrong, the share of right pixels, -|error|."""
    if task == "segmentation":
        return float(row["right"])
    if task == "regression":
        names = [key for key in row if f"predicted:{key}" in row]
        return -sum(abs(float(row[name]) - float(row[f"predicted:{name}"])) for name in names) / len(names)
    asked = [key for key in row if key == "label" or key.startswith("label:")]
    return float(all(row[key] == row[key.replace("label", "predicted", 1)] for key in asked))


def one_sided(found: McNemar) -> float:
    """Chance of so many gains among the disagreements if both models were equally good."""
    if found.gained > found.lost:
        return found.p / 2
    return 1.0


def lower_bound(found: McNemar, z: float = 1.645) -> float:
    """Of the difference in accuracy, with 95 % confidence (paired Wald with a disagreement added on each side)."""
    gained, lost, images = found.gained + 0.5, found.lost + 0.5, found.images + 1
    spread = np.sqrt(gained + lost - (gained - lost) ** 2 / images) / images
    return float((gained - lost) / images - z * spread)


def calibration_error(right: Array, confidence: Array) -> float:
    """Expected calibration error over equal bins (Guo et al. 2017)."""
    places = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = [abs(float(right[places == place].mean() - confidence[places == place].mean())) * (places == place).mean()
            for place in np.unique(places)]  # fmt: skip
    return float(sum(gaps))


def _confidences(rows: list[dict[str, str]]) -> Array:
    return np.array([float(row["probability"]) for row in rows])


def _binary(scores: list[Array]) -> bool:
    return all(np.isin(own, (0.0, 1.0)).all() for own in scores)
