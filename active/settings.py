"""Settings of the loop; torch-free, so that they are checked before torch is imported."""

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class ActiveSettings:
    """What configuration/active/standalone.yaml sets; the comments there say what each key does."""

    budget: int = 500
    batch: int = 20
    first_batch: int | None = None
    seeds: int = 1
    compare: list[str] = field(default_factory=list)
    reference: bool = True
    embeddings: Literal["auto", "pixels", "network", "ssl"] = "auto"
    precision: Literal["float32", "bfloat16"] = "float32"
    ssl_epochs: int = 100
    start: str | list[str] | None = None
    min_steps: int = 200
    validations: int = 5
    draws: int = 10
    class_balance: bool = False
    stochastic: float = 0.0
    costs: str | None = None
    relabel: float = 0.0
    pictures: int = 200

    def __post_init__(self) -> None:
        for key in ("budget", "batch", "seeds", "min_steps", "validations", "ssl_epochs"):
            if getattr(self, key) < 1:
                raise ValueError(f"active.{key}={getattr(self, key)}: use 1 or more")
        if self.first_batch is not None and self.first_batch < 1:
            raise ValueError(f"active.first_batch={self.first_batch}: use 1 or more, or null for active.batch")
        if self.draws < 2:
            raise ValueError(f"active.draws={self.draws}: two draws of dropout at least can differ")
        if not 0 <= self.relabel < 1:
            raise ValueError(f"active.relabel={self.relabel}: give the share of a batch, from 0 to below 1")
        if self.stochastic < 0:
            raise ValueError(f"active.stochastic={self.stochastic}: use 0 (none) or more")
        if len(set(self.compare)) < len(self.compare):
            raise ValueError(f"active.compare={self.compare} names a strategy twice")


@dataclass(frozen=True)
class Nodes:
    """What the other keys below `active` describe: objects, built where they are used."""

    strategy: dict[str, object]
    oracle: dict[str, object]
    retrain: dict[str, object]
    selection: dict[str, object]
    state: dict[str, object]
    stopping: dict[str, object]


def split(active: dict[str, object]) -> tuple[dict[str, object], Nodes]:
    """The plain values of the group, and its nodes."""
    names = Nodes.__annotations__
    nodes = {name: value if isinstance(value := active.get(name), dict) else {} for name in names}
    return {key: value for key, value in active.items() if key not in names}, Nodes(**nodes)
