"""What the automatic optimizer leaves: auto_optimizer.json, a ranked table, and a section of the run's report."""

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from models.run import Run
from utils.charts import Axis, Chart, Series
from utils.files import write_whole
from utils.log import console
from utils.report import Charts, Column, Section, Text
from utils.report import Table as PageTable
from utils.words import many

if TYPE_CHECKING:
    from tuning.auto_optimizer import Found, Tried

NAME = "auto_optimizer"
POINTS = 100  # kept of a training curve
SHOWN = 12  # arms of the table on the terminal
COLORS = ("val", "train", "wrong", "soft", "wrong-1", "right-1", "ink")
NAMED = 8  # curves up to which a chart has a legend


def write(folder: Path, found: "Found") -> None:
    """Everything the search saw, as plain numbers."""
    write_whole(folder / f"{NAME}.json", json.dumps(told(found), indent=1, allow_nan=False))


def told(found: "Found") -> dict[str, Any]:
    """winner, why, and each arm of each round with its curves; None for a loss that is not a number."""
    return {
        "winner": {"optimizer": found.winner.name, "lr": found.winner.lr, "node": found.winner.node},
        "why": found.why,
        "rule": found.rule,
        "seconds": round(found.seconds, 2),
        "ranked": [_row(one) for one in found.ranked],
        "rounds": [
            [_row(one) | _curves(one) for one in found.tried if one.round == number]
            for number in range(1, found.tried[-1].round + 1)
        ],
    }


def _row(one: "Tried") -> dict[str, Any]:
    return {
        "optimizer": one.arm.name,
        "lr": one.arm.lr,
        "weight_decay": one.arm.node.get("weight_decay"),
        "round": one.round,
        "steps": one.curve.steps,
        "loss": _number(one.loss),
        "val_loss": _number(one.curve.val_loss),
        "train_loss": _number(one.curve.train_loss),
        "seconds": round(one.curve.seconds, 3),
        "dropped": one.curve.dropped or None,
    }


def _curves(one: "Tried") -> dict[str, Any]:
    every = max(1, len(one.curve.train) // POINTS)
    return {
        "train": [[step, _number(loss)] for step, loss in one.curve.train[::-1][::every][::-1]],
        "val": [[step, _number(loss)] for step, loss in one.curve.val],
    }


def _number(value: float) -> float | None:
    return float(f"{value:.6g}") if math.isfinite(value) else None


def tell(found: "Found") -> None:
    """The ranked table on the terminal, and the verdict."""
    table = Table(title="Automatic optimizer")
    for heading in ("", "optimizer", "rate", "weight decay", "round", "steps", "validation loss", "training loss"):
        table.add_column(heading, justify="left" if heading == "optimizer" else "right")
    for place, one in enumerate(found.ranked[:SHOWN], 1):
        losses = (one.curve.dropped, "") if one.curve.dropped else _losses(one)
        decay = one.arm.node.get("weight_decay")
        words = (f"{one.arm.lr:g}", "" if decay is None else f"{decay:g}", str(one.round), str(one.curve.steps))
        table.add_row(str(place), one.arm.name, *words, *losses, style="bold" if place == 1 else None)
    if len(found.ranked) > SHOWN:
        table.caption = f"and {len(found.ranked) - SHOWN} more, all in {NAME}.json"
    console().print(table)
    console().print(f"chosen: {found.why}", soft_wrap=True)


def _losses(one: "Tried") -> tuple[str, str]:
    return f"{one.curve.val_loss:.4f}", f"{one.curve.train_loss:.4f}"


def chosen(folder: Path) -> dict[str, str | float]:
    """The rate that the training in a folder chose, and the optimizer if from several; empty where it chose none."""
    file = folder / f"{NAME}.json"
    if not file.is_file():
        return {}
    found = json.loads(file.read_text())
    winner, several = found["winner"], len({arm["optimizer"] for arm in found["ranked"]}) > 1
    return ({"optimizers": winner["optimizer"]} if several else {}) | {"optimizers.lr": winner["lr"]}


def sections(run: Run) -> list[Section]:
    """The report's section on the choice, from the run's folder; none where nothing was searched."""
    file = run.folder / f"{NAME}.json"
    return [section(json.loads(file.read_text()))] if file.is_file() else []


def section(found: dict[str, Any]) -> Section:
    """found: as `told` gives it."""
    columns = (
        Column("Optimizer"), Column("Rate", "number"), Column("Weight decay", "number"), Column("Round", "count"),
        Column("Steps", "count"), Column("Validation loss", "number"), Column("Training loss", "number"),
        Column("Seconds", "number"), Column("Dropped", wraps=any(row["dropped"] for row in found["ranked"])),
    )  # fmt: skip
    keys = ("optimizer", "lr", "weight_decay", "round", "steps", "val_loss", "train_loss", "seconds", "dropped")
    table = PageTable(columns, tuple(tuple(row[key] for key in keys) for row in found["ranked"]))
    charts = [_chart(number, arms) for number, arms in enumerate(found["rounds"], 1)]
    buttons = tuple(f"round {number}" for number in range(1, len(charts) + 1)) if len(charts) > 1 else ()
    note = "An arm is an optimizer at a rate. All train from the same weights on the same batches, anew in each round."
    blocks = (Text(f"Chosen: {found['why']}."), Charts(tuple(charts), buttons), table)
    return Section("Automatic optimizer", blocks, note)


def _chart(number: int, arms: list[dict[str, Any]]) -> Chart:
    """The training losses of one round, and where there are few arms the validation losses, dotted."""
    ranked = sorted(arms, key=lambda arm: math.inf if arm["loss"] is None else arm["loss"])
    names = sorted({arm["optimizer"] for arm in arms})
    series = []
    for place, arm in enumerate(arm for arm in ranked if arm["train"]):
        color = "accent" if place == 0 else COLORS[names.index(arm["optimizer"]) % len(COLORS)]
        name = f"{arm['optimizer']} {arm['lr']:g}"
        series.append(_series(name, arm["train"], color))
        if len(arms) <= NAMED // 2 and arm["val"]:
            series.append(_series(f"{name}, validation", arm["val"], color, dashed=True))
    first = max((arm["train"][0][1] or 0 for arm in arms if arm["train"]), default=1.0)
    return Chart(
        f"{NAME}_{number}",
        f"Round {number}: training loss, smoothed, of {many(len(arms), 'arm')}",
        tuple(series),
        Axis("step", whole=True),
        Axis("loss", range=(0.0, 1.1 * first)),
        legend=len(series) <= NAMED,
    )


def _series(name: str, points: list[list[float]], color: str, dashed: bool = False) -> Series:
    steps, losses = zip(*points, strict=True)
    return Series(name, steps, [math.nan if loss is None else loss for loss in losses], color,
                  "marked" if dashed else "line", dashed)  # fmt: skip
