"""The questions of one round and who is at which: leases, answers, undo; every answer is in the journal at once."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from active.oracles.oracle import Desk, Question


@dataclass
class Lease:
    """An image that is out to a labeller until `until` (seconds of the sheet's clock)."""

    labeller: str
    until: float


@dataclass
class Laid:
    """A round on the table. given: what each labeller answered, the latest last."""

    questions: dict[str, Question]
    desk: Desk
    leases: dict[str, Lease] = field(default_factory=dict)
    given: dict[str, list[str]] = field(default_factory=dict)


class Sheet:
    """Threads of a server call it while the loop waits in `wait`. clock: seconds that only grow."""

    def __init__(self, lease_s: float, clock: Callable[[], float]) -> None:
        self.lease_s, self.clock = lease_s, clock
        self._laid: Laid | None = None
        self._changed = threading.Condition()

    def lay_out(self, questions: Sequence[Question], desk: Desk) -> None:
        """A new round; what has an answer is not asked again."""
        with self._changed:
            self._laid = Laid({one.sha256: one for one in questions}, desk)

    def wait(self) -> None:
        """Until all are answered; then nothing can be taken back any more."""
        with self._changed:
            while self._laid is not None and not set(self._laid.questions) <= self._laid.desk.done():
                self._changed.wait(timeout=0.5)
            self._laid = None

    def clear(self) -> None:
        with self._changed:
            self._laid = None

    def next(self, labeller: str) -> dict[str, Any]:
        """The image that this labeller has, or the first that nobody has; none: all are out or answered."""
        with self._changed:
            laid = self._laid
            if laid is None:
                return {"state": "training"}
            done, now = laid.desk.done(), self.clock()
            open_ones = [one for sha, one in laid.questions.items() if sha not in done]
            free = [one for one in open_ones if not self._held_by_other(laid, one.sha256, labeller, now)]
            mine = [one for one in free if self._holder(laid, one.sha256, now) == labeller]
            told = self._told(laid, len(open_ones))
            if not free:
                return told | {"state": "out" if open_ones else "training"}
            chosen = (mine or free)[0]
            laid.leases[chosen.sha256] = Lease(labeller, now + self.lease_s)
            return told | {"state": "label", "image": chosen.sha256, "again": chosen.again}

    def answer(self, labeller: str, sha: str, label: str | None) -> bool:
        """Keeps an answer; False where another one was quicker, or the round is over."""
        with self._changed:
            laid = self._laid
            if laid is None or sha not in laid.questions or sha in laid.desk.done():
                return False
            if label is not None and label not in laid.desk.classes:
                raise ValueError(f"{label!r} is none of the classes {', '.join(laid.desk.classes)}")
            if self._held_by_other(laid, sha, labeller, self.clock()):
                return False
            laid.desk.answer(sha, label, labeller)
            laid.leases.pop(sha, None)
            laid.given.setdefault(labeller, []).append(sha)
            self._changed.notify_all()
            return True

    def undo(self, labeller: str) -> bool:
        """Takes this labeller's latest answer of the round back and gives them the image again."""
        with self._changed:
            laid = self._laid
            if laid is None or not laid.given.get(labeller):
                return False
            sha = laid.given[labeller].pop()
            laid.desk.retract(sha)
            for lease in [sha for sha, lease in laid.leases.items() if lease.labeller == labeller]:
                del laid.leases[lease]
            laid.leases[sha] = Lease(labeller, self.clock() + self.lease_s)
            return True

    def question(self, sha: str) -> tuple[Question, Desk] | None:
        with self._changed:
            laid = self._laid
            return (laid.questions[sha], laid.desk) if laid is not None and sha in laid.questions else None

    def _told(self, laid: Laid, left: int) -> dict[str, Any]:
        total = len(laid.questions)
        return {
            "round": laid.desk.round,
            "classes": list(laid.desk.classes),
            "done": total - left,
            "total": total,
            **laid.desk.progress(),
        }

    @staticmethod
    def _holder(laid: Laid, sha: str, now: float) -> str | None:
        lease = laid.leases.get(sha)
        return lease.labeller if lease is not None and lease.until > now else None

    def _held_by_other(self, laid: Laid, sha: str, labeller: str, now: float) -> bool:
        return self._holder(laid, sha, now) not in (None, labeller)
