"""Labels from the inventory, with as many errors as asked for."""

from collections.abc import Sequence

import numpy as np

from active.oracles.oracle import Desk, Oracle, Question


class Known(Oracle):
    """error_rate: share of the answers that name another class, drawn anew each time an image is asked for."""

    knows_all = True

    def __init__(self, error_rate: float = 0.0) -> None:
        if not 0 <= error_rate < 1:
            raise ValueError(f"active.oracle.error_rate={error_rate}: give a share from 0 to below 1")
        self.error_rate = error_rate

    def answer(self, questions: Sequence[Question], desk: Desk) -> None:
        done = desk.done()
        for question in questions:
            if question.sha256 not in done:
                desk.answer(question.sha256, self._label(question, desk), "known")

    def _label(self, question: Question, desk: Desk) -> str:
        truth = desk.truth(question.row)
        if not truth:
            raise ValueError(
                f"{question.path} has no label that active/oracle=known could tell; use active/oracle=folder or web"
            )
        rng = np.random.default_rng([desk.seed, desk.round, int(question.sha256, 16)])
        if rng.random() >= self.error_rate:
            return truth
        return str(rng.choice([name for name in desk.classes if name != truth]))
