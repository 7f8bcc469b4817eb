"""The labels that people give: which are taken, which a model knows, and what counts where several differ."""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Row

from datamodule.heads import IS, heads_in
from datamodule.inventory import SEVERAL

LONGEST = 200  # characters
NUMBER = r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?"
JOINERS = "\u200c\u200d"  # of which Persian words and many emoji are made
FORMULA = "=@+-"  # with which a spreadsheet begins to calculate


class Settled(NamedTuple):
    """One image. label: known to the model, "" for none. suggested: what was said in free words."""

    file_sha256: str
    label: str
    suggested: str


def checked_label(label: str | None) -> str | None:
    """Without blanks around it; None for an empty one. Raises ValueError for what is no label."""
    text = (label or "").strip()
    if not text:
        return None
    if len(text) > LONGEST:
        raise ValueError(f"a label has up to {LONGEST} characters, this one has {len(text):,}")
    if any(unicodedata.category(sign).startswith("C") and sign not in JOINERS for sign in text):
        raise ValueError("a label has no control characters")
    return text


def require_words(label: str | None) -> None:
    """Raises ValueError for what a spreadsheet would calculate; a model's own classes may be called so."""
    if label and label[0] in FORMULA and not all(re.fullmatch(NUMBER, part) for part in label.split(SEVERAL)):
        raise ValueError(f"a label does not begin with {label[0]!r}: tables would take it for a formula")


def is_known(task: str, classes: Sequence[str], label: str) -> bool:
    """Whether a model of this task and these classes could have given this label."""
    parts = label.split(SEVERAL)
    if task == "classification":
        return label in classes
    if task == "multilabel":
        return label == SEVERAL or all(part in classes for part in parts)
    if task == "heads":
        return set(parts) <= set(classes) and _heads_of(parts) == [head.name for head in heads_in(classes)]
    if task == "regression":
        return len(parts) == max(1, len(classes)) and all(_is_number(part) for part in parts)
    return False


def _heads_of(parts: Sequence[str]) -> list[str]:
    return [part.partition(IS)[0] for part in parts]


def _is_number(text: str) -> bool:
    return re.fullmatch(NUMBER, text) is not None and math.isfinite(float(text))


def settled(rows: Iterable[Row[Any]]) -> list[Settled]:
    """Each image with the label that most people gave, of several such the newest. rows: oldest first."""
    images: dict[str, list[Row[Any]]] = {}
    for row in rows:
        images.setdefault(row.file_sha256, []).append(row)
    return [Settled(sha256, winner(own), _suggested(own)) for sha256, own in sorted(images.items())]


def winner(rows: Sequence[Row[Any]]) -> str:
    """ "" where nobody gave a label that is known."""
    labels = [row.label for row in rows if row.known]
    if not labels:
        return ""
    votes = Counter(labels)
    return str(max(reversed(labels), key=lambda label: votes[label]))


def _suggested(rows: Sequence[Row[Any]]) -> str:
    words = [row.label for row in rows if row.label and not row.known]
    return str(words[-1]) if words else ""
