"""The page of a benchmark: accuracy against latency with the front marked, and a table that can be sorted."""

from collections.abc import Sequence
from math import log10
from pathlib import Path

from tuning.labelling import placed
from tuning.pareto import front
from tuning.published import Joined
from utils.charts import Axis, Chart, Series
from utils.report import Cell, Charts, Column, Section, Stat, Stats, Table, write_report

COLUMNS = (
    Column("Model"), Column("Engine"), Column("Batch", "count"), Column("Size"), Column("Front"),
    Column("Top-1 %", "number"), Column("p50 ms", "number"), Column("p95 ms", "number"), Column("p99 ms", "number"),
    Column("Images/s", "number"), Column("Memory MiB", "count"), Column("Disk MiB", "number"),
    Column("Parameters M", "number"), Column("GMACs", "number"), Column("Activations M", "number"), Column("Weights"),
)  # fmt: skip
FAILED = (Column("Model"), Column("Engine"), Column("Batch", "count"), Column("Size"), Column("Why", wraps=True))
LEAST_ROOM = 0.06  # of an axis beside the outermost points


def page_folder(file: Path) -> Path:
    """Beside the table."""
    return file.with_suffix("")


def write_page(file: Path, found: Sequence[Joined], title: str = "Speed of timm's models") -> Path:
    """Answers the page's path."""
    works = [one for one in found if one.row.works]
    failed = [one for one in found if not one.row.works]
    sections = [Section("", (_stats(works, failed),)), *_pictures(works), *_tables(works), *_failures(failed)]
    machines = "; ".join(dict.fromkeys(one.row.machine for one in found))
    versions = "; ".join(dict.fromkeys(one.row.versions for one in found))
    return write_report(page_folder(file), title, sections, f"{machines} · {versions}")


def _stats(works: Sequence[Joined], failed: Sequence[Joined]) -> Stats:
    models = len({one.row.model for one in works})
    known = sum(one.top1 is not None for one in works)
    return Stats(
        (
            Stat("Models measured", f"{models:,}"),
            Stat("Measurements", f"{len(works):,}"),
            Stat("With an accuracy", f"{known:,}"),
            Stat("Failed", f"{len(failed):,}"),
        )
    )


def on_front(found: Sequence[Joined]) -> list[bool]:
    """Against those of the same batch size and mode: none is both faster and more accurate."""
    marked = [False] * len(found)
    for group in {(one.row.batch, one.row.mode) for one in found}:
        mine = [place for place, one in enumerate(found) if (one.row.batch, one.row.mode) == group]
        costs = [_or_nan(found[place].row.p50_ms) for place in mine]
        gains = [_or_nan(found[place].top1) for place in mine]
        for place, flag in zip(mine, front(costs, gains), strict=True):
            marked[place] = flag
    return marked


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value


def _pictures(works: Sequence[Joined]) -> list[Section]:
    """One picture for each batch size."""
    known = [one for one in works if one.row.mode == "inference" and one.top1 is not None]
    batches = sorted({one.row.batch for one in known})
    charts = tuple(pareto_chart([one for one in known if one.row.batch == batch], batch) for batch in batches)
    names = tuple(f"batch {batch}" for batch in batches) if len(batches) > 1 else ()
    note = "Of the models on the front none is both faster and more accurate. Accuracies are those that timm publishes."
    return [Section("Accuracy and latency", (Charts(charts, names),), note)] if charts else []


def pareto_chart(known: Sequence[Joined], batch: int) -> Chart:
    """known: of one batch size, each with an accuracy."""
    marked = on_front(known)
    best = sorted((one for one, flag in zip(known, marked, strict=True) if flag), key=_latency)
    rest = [one for one, flag in zip(known, marked, strict=True) if not flag]
    x, y = [_latency(one) for one in best], [one.top1 or 0.0 for one in best]
    names = [name(one) for one in best]
    everything = [_latency(one) for one in known]
    sides = placed(names, x, y)
    series = (
        Series("other models", [_latency(one) for one in rest], [one.top1 or 0.0 for one in rest], "train", "points",
               labels=[name(one) for one in rest]),
        Series("front", x, y, "accent", "line"),
        Series("on the front", x, y, "accent", "points", size=[0.2] * len(best), labels=names, sides=sides),
    )  # fmt: skip
    drawn = tuple(one for one in series if len(one.x))
    return Chart(
        f"accuracy-latency-{batch}", f"Accuracy against latency, batch {batch}", drawn,
        Axis("p50 of a call, ms", log=True, range=room(everything)), Axis("published top-1, %"), legend=False,
    )  # fmt: skip


def room(latencies: Sequence[float]) -> tuple[float, float]:
    """Exponents of ten."""

    low, high = log10(min(latencies)), log10(max(latencies))
    beside = max(LEAST_ROOM * (high - low), 0.05)
    return low - beside, high + beside


def _latency(one: Joined) -> float:
    assert one.row.p50_ms is not None
    return one.row.p50_ms


def name(one: Joined) -> str:
    """Of a model, with its engine where that is not plain PyTorch."""
    engine = f"{one.row.engine} {one.row.precision}"
    return one.row.model if engine == "eager fp32" else f"{one.row.model} {engine}"


def _tables(works: Sequence[Joined]) -> list[Section]:
    """One for each mode."""
    marked = dict(zip(map(id, works), on_front(works), strict=True))
    sections = []
    for mode, title in (("inference", "Inference"), ("training", "Training step")):
        mine = sorted((one for one in works if one.row.mode == mode), key=_latency)
        if mine:
            sections.append(Section(title, (Table(COLUMNS, tuple(cells(one, marked[id(one)]) for one in mine)),)))
    return sections


def cells(one: Joined, on_the_front: bool) -> tuple[Cell, ...]:
    row = one.row
    return (
        row.model, f"{row.engine} {row.computed_in or row.precision}", row.batch, row.size,
        "★" if on_the_front else "", one.top1, row.p50_ms, row.p95_ms, row.p99_ms, row.images_per_s, row.peak_mib,
        row.disk_mib, _scaled(row.parameters, 1e6), _scaled(row.macs, 1e9), _scaled(row.activations, 1e6),
        _weights(one),
    )  # fmt: skip


def _weights(one: Joined) -> str | None:
    """Whose accuracy it is: the tag of the weights, and the size of its images where that is another."""
    if one.published is None:
        return None
    return one.published.name.partition(".")[2] + (f" at {one.of_size} px" if one.of_size else "")


def _scaled(value: int | None, unit: float) -> float | None:
    return None if value is None else value / unit


def _failures(failed: Sequence[Joined]) -> list[Section]:
    rows = tuple(
        (one.row.model, f"{one.row.engine} {one.row.precision}", one.row.batch, one.row.size, one.row.error)
        for one in failed
    )
    return [Section("Not measured", (Table(FAILED, rows),))] if rows else []
