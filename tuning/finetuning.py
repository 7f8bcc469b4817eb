"""Candidates of a model search on the user's own images: short trainings, of which the best go on to longer ones.

Successive halving (tuning/halving.py) where each round is a training of its own under a complete schedule; what ranks
is the figure of the validation split, published accuracy only said who may try.
"""

import logging
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tuning.benchmark_page import name, on_front
from tuning.finetune_settings import Config, OwnImages
from tuning.halving import Round
from tuning.objectives import Objective, read_goal
from tuning.orders import Ending, Order
from tuning.problem import OF_THE_PLACE, as_trial
from tuning.published import Joined
from utils.build import build
from utils.configuration import digest
from utils.journal import Journal
from utils.log import console
from utils.words import many

log = logging.getLogger(__name__)


@dataclass
class Tried:
    """A candidate. figures: of each of its rounds, as the validation split has it. error: why its last one has none."""

    one: Joined
    figures: list[float] = field(default_factory=list)
    error: str = ""


@dataclass(frozen=True)
class Finetuned:
    """tried: all candidates, the best first. rounds: how many, and for how many epochs each. images: that judged."""

    tried: list[Tried]
    rounds: list[Round]
    objective: Objective
    images: int

    @property
    def best(self) -> Tried:
        return self.tried[0]

    @property
    def why(self) -> str:
        """In one sentence."""
        best, others = self.best, [one for one in self.tried[1:] if one.figures and not one.error]
        epochs = self.rounds[len(best.figures) - 1].length
        then = f"; then {name(others[0].one)}, {others[0].figures[-1]:.4f}" if others else ""
        return (
            f"{name(best.one)}: {'highest' if self.objective.raised else 'lowest'} {self.objective.figure}, "
            f"{best.figures[-1]:.4f} on {many(self.images, 'image')} after {many(epochs, 'epoch')}, "
            f"of {many(len(self.tried), 'candidate')}{then}"
        )


def candidates(ranked: Sequence[Joined], count: int) -> list[Joined]:
    """Those that are to be tried, each network by its best engine: the front of accuracy and latency, then by rank."""
    first: dict[str, Joined] = {}
    for one in ranked:
        first.setdefault(one.row.model, one)
    found = list(first.values())
    marked = dict(zip(map(id, found), on_front(found), strict=True))
    return sorted(found, key=lambda one: not marked[id(one)])[:count]


def with_model(config: Config, one: Joined) -> Config:
    """train.py's configuration with this network at the size that it was measured at."""
    height, width = map(int, one.row.size.split("x"))
    weights = one.published.name if one.published else one.row.model
    shape = {"height": height, "width": width}
    return config | {
        "models": config["models"] | {"architecture": weights}, "datamodule": config["datamodule"] | shape
    }  # fmt: skip


def finetuned(own: OwnImages, ranked: Sequence[Joined], folder: Path) -> Finetuned:
    """Raises ValueError where no candidate can be trained. folder: keeps what was trained, for the same command."""
    left = [Tried(one) for one in candidates(ranked, own.rules.candidates)]
    everyone, rounds = list(left), own.rules.rounds(len(left))
    (objective,) = read_goal([own.rules.objective], "auto", ()).objectives
    data, images = looked_at(own, left[0].one)
    journal = Journal(folder / "finetuned.sqlite")
    try:
        for number, (count, epochs) in enumerate(rounds):
            left = best(left, objective, number)[:count]
            if not left:
                break
            told = f"{many(len(left), 'candidate')}, {many(epochs, 'epoch')}"
            console().print(f"fine-tuning round {number + 1} of {len(rounds)}: {told}")
            for one in left:
                train(one, own, epochs, objective, data, journal)
    finally:
        journal.close()
    ordered = best(everyone, objective, len(rounds), keep_all=True)
    if not ordered[0].figures:
        first = ordered[0]
        raise ValueError(f"none of {len(ordered)} candidates can be trained; {name(first.one)}: {first.error}")
    return Finetuned(ordered, rounds, objective, images)


def best(tried: Iterable[Tried], objective: Objective, rounds: int, keep_all: bool = False) -> list[Tried]:
    """The best first: those of more rounds before those of fewer, of equal figures the faster one.

    Those without a figure of the last round are left out, unless keep_all.
    """
    kept = [one for one in tried if keep_all or len(one.figures) >= rounds]
    return sorted(kept, key=lambda one: (-len(one.figures), cost_of(one, objective), one.one.row.p95_ms or math.inf))


def cost_of(one: Tried, objective: Objective) -> float:
    """Less is better."""
    return objective.cost({objective.figure: one.figures[-1]}) if one.figures else math.inf


def looked_at(own: OwnImages, one: Joined) -> tuple[str, int]:
    """The data's digest and how many images judge. Raises ValueError where there are none, or the data are no good."""
    from models.training import stand_in

    node = stand_in(with_model(own.config, one), "datamodule")
    data = build(node, seed=own.config["seed"])
    data.inventory, _ = data.settled()
    data.require_validation("finetune")
    return data.digest, data.sizes["val"]


def train(one: Tried, own: OwnImages, epochs: int, objective: Objective, data: str, journal: Journal) -> None:
    """Adds the figure of a training, or why there is none."""
    config = as_trial(with_model(own.config, one.one), epochs) | {"logger": {}}
    kept = {key: value for key, value in config.items() if key not in OF_THE_PLACE}
    key = digest({"config": kept, "data": data, "objective": objective.figure})
    facts = journal.find("training", key)
    if facts is None:
        facts = trained(config, objective)
        if not facts["error"]:
            journal.record("training", key, facts)
    if facts["error"]:
        one.error = facts["error"]
    else:
        one.figures.append(facts["figure"])
    console().print(f"  {name(one.one)}: {one.error or f'{objective.figure} {one.figures[-1]:.4f}'}")


def trained(config: Config, objective: Objective) -> dict[str, Any]:
    """figure: the best one of all validations. error: empty where there is one."""
    from tuning.trial import run_trial

    seen: list[dict[str, float]] = []

    def report(epoch: int, figures: dict[str, float]) -> bool:
        seen.append(figures)
        return True

    with TemporaryDirectory(prefix="evergreen-finetune-") as folder:
        ending = run_trial(Order(0, config, folder), report)
    costs = [cost for figures in seen if not math.isnan(cost := objective.cost(figures))]
    return {"figure": objective.told(min(costs)) if costs else None, "error": _why(ending, seen, objective, costs)}


def _why(ending: Ending, seen: Sequence[dict[str, float]], objective: Objective, costs: Sequence[float]) -> str:
    if ending.error or costs:
        return ending.error
    known = ", ".join(seen[0]) if seen else "none"
    return f"it has no {objective.figure}: give finetune.objective, reported are: {known}"
