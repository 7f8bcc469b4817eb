"""What an evaluation says: figures of merit with their intervals, and how they are written down."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from utils.statistics import Interval

Task = Literal["classification", "heads", "multilabel", "regression", "segmentation"]
Temperature = float | list[float] | None  # a number for each head, where there are several

TITLES = {
    "accuracy": "Accuracy",
    "top5_accuracy": "Top-5 accuracy",
    "balanced_accuracy": "Balanced accuracy",  # the same as macro recall
    "exact_match": "Exact match",
    "map": "mAP",
    "precision_macro": "Precision, macro",
    "recall_macro": "Recall, macro",
    "f1_macro": "F1, macro",
    "f1_micro": "F1, micro",
    "auc_macro": "AUC, macro",
    "ece": "ECE",
    "ece_calibrated": "ECE, scaled",  # after temperature scaling
    "mae": "MAE",
    "rmse": "RMSE",
    "r2": "R²",
    "mean_iou": "Mean IoU",
    "mean_dice": "Mean Dice",
    "pixel_accuracy": "Pixel accuracy",
    "precision": "Precision",
    "recall": "Recall",
    "f1": "F1",
    "auc": "AUC",
    "average_precision": "Average precision",
    "iou": "IoU",
    "dice": "Dice",
}
OF_A_CLASS = ("precision", "recall", "f1", "auc", "average_precision", "iou", "dice")  # but not of a whole set
PLAIN_NUMBERS = frozenset({"mae", "rmse", "r2"})  # all others are shares, shown in per cent
MISSING = "–"


@dataclass(frozen=True)
class Score:
    """One figure of merit with its 95 % interval."""

    name: str  # a key of TITLES, after "head/" where there are several
    interval: Interval

    @property
    def title(self) -> str:
        return title(self.name)

    @property
    def value(self) -> float:
        return self.interval.value


@dataclass(frozen=True)
class ClassScores:
    """The figures of one class, label or target; one that cannot be had (no image shows the class) is None."""

    name: str
    support: int  # images of the class, pixels in a segmentation
    scores: Mapping[str, Interval | None]


@dataclass(frozen=True)
class Evaluation:
    """What one model reaches on one labelled set; the first score is the one to lead with."""

    task: Task
    images: int
    scores: tuple[Score, ...]
    undefined: tuple[str, ...]  # scores that this set cannot tell, such as R² of a constant target
    classes: tuple[ClassScores, ...]
    missing: tuple[str, ...]  # classes that no image here shows: left out of the macro figures

    def __getitem__(self, name: str) -> Interval:
        for score in self.scores:
            if score.name == name:
                return score.interval
        raise KeyError(f"{self.task} has no {name!r}; it has {', '.join(score.name for score in self.scores)}")


def title(name: str) -> str:
    """A figure's name as people read it: "Accuracy", "Accuracy, digit"."""
    head, _, figure = name.rpartition("/")
    return f"{TITLES[figure]}, {head}" if head else TITLES[figure]


def text(name: str, interval: Interval | None) -> tuple[str, str]:
    """The figure and its range as people read them: ("97.0 %", "94.3 – 98.5 %")."""
    if interval is None:
        return MISSING, ""
    if name in PLAIN_NUMBERS:
        return f"{interval.value:.4g}", f"{interval.low:.4g} – {interval.high:.4g}"
    return f"{100 * interval.value:.1f} %", f"{100 * interval.low:.1f} – {100 * interval.high:.1f} %"


def rows(evaluation: Evaluation) -> list[tuple[str, str, str]]:
    """Title, figure and 95 % range of each score, for the closing table."""
    undefined = [(title(name), MISSING, "undefined here") for name in evaluation.undefined]
    return [(score.title, *text(score.name, score.interval)) for score in evaluation.scores] + undefined


def class_rows(evaluation: Evaluation) -> list[list[str]]:
    """A heading and one line a class: name, support and the class's figures."""
    if not evaluation.classes:
        return []
    names = list(evaluation.classes[0].scores)
    body = [[one.name, f"{one.support:,}", *(text(n, one.scores[n])[0] for n in names)] for one in evaluation.classes]
    return [["class", "support", *(TITLES[name] for name in names)], *body]


def missing_note(evaluation: Evaluation, most: int = 10) -> str:
    """Names the classes that could not be judged; empty when there is none."""
    if not evaluation.missing:
        return ""
    named = ", ".join(evaluation.missing[:most])
    more = f" and {len(evaluation.missing) - most} more" if len(evaluation.missing) > most else ""
    return f"No image here shows {named}{more}: left out of the macro figures."
