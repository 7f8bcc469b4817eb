"""What `python benchmark.py` does: fills the table, shows it as a page, chooses a model where limits are given."""

from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from tuning.benchmark_page import on_front, write_page
from tuning.benchmark_progress import tracked
from tuning.benchmark_settings import BenchmarkSettings
from tuning.benchmarking import Plan, filled, missing, planned
from tuning.limits import Limits
from tuning.model_search import hopes, judged, show_choice
from tuning.published import Joined, Published, joined, published
from tuning.speed_table import Row, SpeedTable
from utils.log import console

MOST_SHOWN = 40
HEADINGS = ("model", "engine", "batch", "size", "top-1 %", "p50 ms", "p95 ms", "images/s", "MiB", "front")


def benchmark(settings: BenchmarkSettings, limits: Limits) -> None:
    """An interruption leaves table and page of what is known, and ends with KeyboardInterrupt."""
    file = Path(settings.file).expanduser()
    known = published(settings.published)
    limits.check(bool(known))
    with SpeedTable(file) as table:
        plan = planned(limits.narrowed(settings))
        try:
            found = _measured(plan, table, known, limits)
        except KeyboardInterrupt:
            _shown(file, joined(_of_plan(plan, table), known))
            raise
    _shown(file, found)
    if limits.any:
        show_choice(judged(found, limits), found, file)


def _measured(plan: Plan, table: SpeedTable, known: Sequence[Published], limits: Limits) -> list[Joined]:
    if limits.measure and (left := sum(map(len, missing(plan, table)))):
        console().print(f"{left} of {len(plan.jobs)} measurements are missing on {plan.machine.kind}")
    if limits.measure:
        filled(plan, table, tracked, hopes(limits, plan, table))
    return joined(_of_plan(plan, table), known)


def _of_plan(plan: Plan, table: SpeedTable) -> list[Row]:
    return [table.rows[job.key] for job in plan.jobs if job.key in table.rows]


def _shown(file: Path, found: Sequence[Joined]) -> None:
    page = write_page(file, found)
    out = console()
    out.print(summary(found))
    failed = [one.row for one in found if not one.row.works]
    for row in failed[:5]:
        out.print(f"{row.model} {row.engine} {row.precision} batch {row.batch}: {row.error}", markup=False)
    if len(failed) > 5:
        out.print(f"… and {len(failed) - 5} more without a figure: see the table")
    out.print(f"table: {file}\npage:  {page}", soft_wrap=True)


def summary(found: Sequence[Joined]) -> Table:
    """The fastest rows; all are in the file."""
    marked = dict(zip(map(id, found), on_front(found), strict=True))
    works = sorted((one for one in found if one.row.works), key=lambda one: one.row.p50_ms or 0.0)
    table = Table(*HEADINGS, title=_title(len(works), len(found)))
    for one in works[:MOST_SHOWN]:
        row = one.row
        engine = f"{row.engine} {row.precision}" + (", training" if row.mode == "training" else "")
        table.add_row(
            row.model, engine, str(row.batch), row.size, _number(one.top1, ".1f"), _number(row.p50_ms, ".2f"),
            _number(row.p95_ms, ".2f"), _number(row.images_per_s, ".1f"), _number(row.peak_mib, ".0f"),
            "★" if marked[id(one)] else "",
        )  # fmt: skip
    return table


def _title(works: int, rows: int) -> str:
    shown = f", the fastest {MOST_SHOWN}" if works > MOST_SHOWN else ""
    return f"{works} measurements{shown}" + (f", {rows - works} failed" if rows > works else "")


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else f"{value:{form}}"
