"""A round to label, for tests of oracles."""

from pathlib import Path

import numpy as np

from active.oracles.oracle import Desk, Question
from utils.journal import Journal

CLASSES = ("cat", "dog")


def desk(tmp_path: Path, count: int = 3, number: int = 0) -> tuple[Desk, list[Question], Journal]:
    """Questions with guesses, and a desk whose answers lie in a journal."""
    journal = Journal(tmp_path / "journal.sqlite")
    questions = [Question(f"{place:064x}", f"{place}.png", place, 0.5, ("dog", 0.75)) for place in range(count)]
    made = Desk(
        round=number,
        classes=CLASSES,
        folder=tmp_path / "labels",
        seed=0,
        truth=lambda row: CLASSES[row % 2],
        image=lambda row: np.full((8, 8, 1), row, np.uint8),
        file=lambda row: None,
        answer=lambda sha, label, by: journal.replace("label", sha, {"label": label, "by": by}),
        done=lambda: {entry.key for entry in journal.every("label")},
        retract=lambda sha: journal.forget("label", sha),
        progress=lambda: {"labels": len(journal.every("label")), "budget": 10},
    )
    return made, questions, journal


def answers(journal: Journal) -> dict[int, str | None]:
    """Row → label."""
    return {int(entry.key, 16): entry.facts["label"] for entry in journal.every("label")}
