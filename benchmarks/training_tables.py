"""What `benchmarks.training_speed` measured, as tables: speeds, ratios and accuracies of one case's tools."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import mean, median, stdev

from benchmarks.measure import KINDS, Kind, Measured, Usage

OWN = "evergreen"
Rounds = dict[str, list[Measured]]  # by tool, one a round


@dataclass(frozen=True)
class Case:
    """A network and how much of it is trained; bars: by tool, how many times its epoch's speed is promised."""

    name: str
    model: str
    stem: str
    size: int
    batch: int
    images: int
    epochs: int
    file_size: int = 32
    workers: tuple[int, ...] = (0, 1)
    timm: bool = True
    own_fp32: bool = False
    bars: dict[str, tuple[Kind, float]] = field(default_factory=dict)


def per_second(case: Case, found: Measured) -> dict[Kind, float]:
    """Training images of an epoch per CPU-second and per wall-second."""
    images = case.images - case.images % case.batch
    return {kind: images / found.epoch.seconds(kind) for kind in KINDS}


def ratio(own: Sequence[Usage], other: Sequence[Usage], kind: Kind) -> float:
    """How many times faster the first is, the median over the rounds."""
    return median(theirs.seconds(kind) / ours.seconds(kind) for ours, theirs in zip(own, other, strict=True))


def speed_table(results: dict[str, Rounds], cases: Sequence[Case]) -> str:
    """A row a tool; the ratios say how many times faster this project is than the row."""
    measured = [cell for name in ("images/CPU-s", "images/s", "whole CPU-s", "whole s") for cell in (name, "ratio")]
    head = ("case", "tool", *measured, "accuracy", "bar")
    return markdown(head, [speed_row(case, tool, results[case.name]) for case in cases for tool in results[case.name]])


def speed_row(case: Case, tool: str, rounds: Rounds) -> list[str]:
    found, own = rounds[tool], rounds.get(OWN)
    speeds = [per_second(case, one) for one in found]
    cells = [case.name, tool]
    for kind in KINDS:
        times = ratio([one.epoch for one in own], [one.epoch for one in found], kind) if own else None
        cells += [f"{median(speed[kind] for speed in speeds):,.1f}", spelt(times)]
    for kind in KINDS:
        times = ratio([one.whole for one in own], [one.whole for one in found], kind) if own else None
        cells += [f"{median(one.whole.seconds(kind) for one in found):.1f}", spelt(times)]
    return [*cells, f"{mean(one.values[-1] for one in found):.1%}", bar(case, tool, rounds)]


def spelt(times: float | None) -> str:
    return "" if times is None else f"{times:.2f}"


def bar(case: Case, tool: str, rounds: Rounds) -> str:
    """The promise about this row and whether it is kept."""
    if tool not in case.bars or OWN not in rounds:
        return ""
    kind, least = case.bars[tool]
    times = ratio([one.epoch for one in rounds[OWN]], [one.epoch for one in rounds[tool]], kind)
    return f"≥ {least} by {kind}: {'met' if times >= least else 'missed'}"


def accuracy_table(results: dict[str, Rounds]) -> str:
    """A row a tool: accuracy after the last epoch, and how far it is from this project's, in standard errors."""
    head = ("case", "tool", "accuracy", "each seed", "difference", "in standard errors")
    return markdown(head, [accuracy_row(case, tool, rounds) for case, rounds in results.items() for tool in rounds])


def accuracy_row(case: str, tool: str, rounds: Rounds) -> list[str]:
    last = [one.values[-1] for one in rounds[tool]]
    own = [one.values[-1] for one in rounds.get(OWN, [])]
    cells = [case, tool, f"{mean(last):.2%}", " ".join(f"{value:.2%}" for value in last)]
    if tool == OWN or min(len(own), len(last)) < 2:
        return [*cells, "", ""]
    error = (stdev(own) ** 2 / len(own) + stdev(last) ** 2 / len(last)) ** 0.5
    return [*cells, f"{100 * (mean(last) - mean(own)):+.2f} points", f"{(mean(last) - mean(own)) / error:+.1f}"]


def markdown(head: Sequence[str], rows: list[list[str]]) -> str:
    widths = [max(len(row[column]) for row in (list(head), *rows)) for column in range(len(head))]
    lines = [list(head), ["-" * width for width in widths], *rows]
    padded = ([cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in padded)
