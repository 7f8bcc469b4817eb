"""What the automatic optimizer chooses from: each candidate's whole configuration node, at several rates."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from tuning.auto_settings import AutoSettings, SearchSettings, check_range
from utils.build import OF_THE_CHOICE
from utils.configuration import option
from utils.overrides import optimizers

Node = dict[str, Any]
COMMON = ("layer_decay", "lr_scale")  # of the network, not of the optimizer: every candidate takes the run's


@dataclass(frozen=True)
class Arm:
    """An optimizer at a rate. node: complete, ready to be built and to be written into a configuration."""

    name: str
    lr: float
    node: Node

    def __str__(self) -> str:
        return f"{self.name} at {self.lr:g}"


def arms(chosen: Node, settings: AutoSettings, search: SearchSettings) -> list[Arm]:
    """Every candidate at each of its rates, the likeliest to win first, since the time may not be enough for all.

    chosen: the run's optimizers node, which says what they are to share.
    """
    names = settings.candidates or _by_place(search.order)
    nodes = {name: _node(name, chosen) for name in names}
    _refuse_range_of_none(chosen, nodes)
    rates = 1 if search.rule == "lowest_train_loss" else search.rates
    found = [
        (turn, Arm(name, lr, node | {"lr": lr}))
        for name, node in nodes.items()
        for turn, lr in enumerate(from_the_middle(spread(node, rates)))
    ]
    return [arm for _, arm in sorted(found, key=itemgetter(0))]


def _by_place(order: Sequence[str]) -> list[str]:
    """The optimizers whose yaml has rates to try: those of the order, then the others."""
    names = [name for name in optimizers() if option("optimizers", name)["lr_range"]]
    return sorted(names, key=lambda name: order.index(name) if name in order else len(order))


def _node(name: str, chosen: Node) -> Node:
    """A candidate's node with what the run says for all of them, the automatic choice itself made."""
    own = _own(name)
    shared = {key: chosen[key] for key in COMMON if key in own and key in chosen}
    choice = {key: chosen[key] for key in OF_THE_CHOICE if key in chosen}
    given = given_range(chosen) if _are_same(own, chosen) else None
    return own | shared | choice | {"option": None, "lr_range": given or own["lr_range"], "lr_falls": own["lr_falls"]}


def given_range(chosen: Node) -> list[float] | None:
    """A node's lr_range where it is another than that of its yaml; None where it is not."""
    nodes = [option("optimizers", name) for name in optimizers()]
    own = [node["lr_range"] for node in nodes if _are_same(node, chosen)]
    found: list[float] | None = chosen.get("lr_range")
    return None if found in own else found


def _are_same(one: Node, other: Node) -> bool:
    return all(one.get(key) == other.get(key) for key in ("_target_", "name"))


def _refuse_range_of_none(chosen: Node, nodes: Mapping[str, Node]) -> None:
    """Rates of one optimizer say nothing of another's."""
    given = given_range(chosen)
    if given is not None and not any(_are_same(node, chosen) for node in nodes.values()):
        raise ValueError(
            f"optimizers.lr_range={given} is of {chosen.get('name', 'the chosen optimizer')}, which is none of the "
            f"candidates {', '.join(nodes)}: choose one of them (optimizers=NAME) to give its range, or leave it out"
        )


def _own(name: str) -> Node:
    """Of its yaml, or timm's or torch's by that name."""
    if name in optimizers():
        return option("optimizers", name)
    timm = option("optimizers", "timm")
    return timm | {"name": name, "lr_range": timm["lr_range"] or [timm["lr"] / 3, timm["lr"] * 10]}


def from_the_middle(rates: Sequence[float]) -> list[float]:
    """The middle one, then its neighbours, the lower one first, and so on.

    >>> from_the_middle([1, 2, 3])
    [2, 1, 3]
    """
    return sorted(rates, key=lambda rate: abs(2 * rates.index(rate) - len(rates) + 1))


def spread(node: Node, rates: int) -> list[float]:
    """So many rates, evenly in the logarithm over the node's range; one alone is its own rate."""
    if rates == 1 or not node["lr_range"]:
        return [node["lr"]]
    check_range(node["lr_range"])
    low, high = (math.log(end) for end in node["lr_range"])
    return [float(f"{math.exp(low + (high - low) * place / (rates - 1)):.2g}") for place in range(rates)]
