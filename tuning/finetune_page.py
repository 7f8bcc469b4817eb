"""What a page and the terminal show of candidates that were tried on the user's own images."""

from rich.table import Table

from tuning.benchmark_page import name, room
from tuning.finetuning import Finetuned, Tried
from tuning.labelling import placed
from utils.charts import Axis, Chart, Series
from utils.report import Cell, Charts, Column, Section
from utils.report import Table as PageTable
from utils.words import many


def ranking(found: Finetuned) -> Table:
    """For the terminal."""
    rounds = [many(epochs, "epoch") for _, epochs in found.rounds]
    table = Table("", "model", "published %", "p95 ms", *rounds, title=f"{found.objective.figure} on your images")
    for number, one in enumerate(found.tried, 1):
        shown = [_number(value) for value in _by_round(found, one)]
        table.add_row(str(number), name(one.one), _number(one.one.top1), _number(one.one.row.p95_ms), *shown)
    return table


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


def _by_round(found: Finetuned, one: Tried) -> list[float | None]:
    return [*one.figures, *[None] * (len(found.rounds) - len(one.figures))]


def section(found: Finetuned) -> Section:
    """Picture and table."""
    rounds = [Column(f"After {many(epochs, 'epoch')}", "number") for _, epochs in found.rounds]
    columns = (Column("Model"), Column("Published top-1 %", "number"), Column("p95 ms", "number"), *rounds,
               Column("Why not", wraps=True))  # fmt: skip
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (name(one.one), one.one.top1, one.one.row.p95_ms, *_by_round(found, one), one.error) for one in found.tried
    )
    note = "Short trainings on your images; the best of each round went on to the next, from the start and for longer."
    return Section("On your own images", (Charts((chart(found),)), PageTable(columns, rows)), note)


def chart(found: Finetuned) -> Chart:
    """The figure of each candidate's last round against its latency."""
    known = [one for one in found.tried if one.figures and one.one.row.p95_ms is not None]
    last = [one for one in known if len(one.figures) == len(found.rounds)]
    earlier = [one for one in known if len(one.figures) < len(found.rounds)]
    drawn = tuple(
        _points(title, part, color)
        for title, part, color in (("earlier rounds", earlier, "train"), ("the last round", last, "accent"))
        if part
    )
    latencies = [one.one.row.p95_ms or 0.0 for one in known]
    x = Axis("p95 of a call, ms", log=True, range=room(latencies))
    return Chart("own-images", f"{found.objective.figure} against latency", drawn, x, Axis(found.objective.figure))


def _points(title: str, part: list[Tried], color: str) -> Series:
    x, y = [one.one.row.p95_ms or 0.0 for one in part], [one.figures[-1] for one in part]
    names = [name(one.one) for one in part]
    return Series(title, x, y, color, "points", size=[0.2] * len(x), labels=names, sides=placed(names, x, y))
