"""What `python benchmark.py` does: fills the table, shows it as a page, chooses a model where limits are given."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from rich.table import Table

from tuning.benchmark_page import on_front, write_page
from tuning.benchmark_progress import tracked
from tuning.benchmark_settings import BenchmarkSettings
from tuning.benchmarking import Plan, measured_once, missing
from tuning.catalogue import AllTooLarge
from tuning.confirmation import can_differ, measured_again
from tuning.finetune_settings import OwnImages
from tuning.limits import Limits, missed_by
from tuning.machines import Machines, machines
from tuning.model_search import Choice, choice_folder, hopes, judged, on_own_images, show_choice
from tuning.published import Joined, Published, joined, published
from tuning.speed_table import SpeedTable
from tuning.stamp import differing_governor, foreign, now, write_stamp
from utils.log import console
from utils.words import many

MOST_SHOWN = 40
TO_MEASURE = "leave limits.measure=false out"
HEADINGS = ("model", "engine", "batch", "size", "top-1 %", "p50 ms", "p95 ms", "images/s", "MiB", "front")


@dataclass(frozen=True)
class Found:
    """What is known of one kind of machine, with accuracies."""

    plan: Plan
    rows: list[Joined]


def benchmark(settings: BenchmarkSettings, limits: Limits, own: OwnImages | None = None) -> None:
    """An interruption leaves table and page of what is known, and ends with KeyboardInterrupt.

    own: the user's own images, on which candidates within the limits are tried.
    """
    limits.check_objective(own is not None)
    file = Path(settings.file).expanduser()
    found = measured(settings, limits, shown=lambda rows: _shown(file, rows))
    if not limits.any and own is None:
        return
    for number, one in enumerate(found):
        place = file if number == 0 else file.with_stem(f"{file.stem}-{number + 1}")
        if len(found) > 1:
            console().print(f"\n{one.plan.machine.kind}")
        show_choice(chosen_of(one, limits, own, place), one.rows, place, limits)


def measured(
    settings: BenchmarkSettings,
    limits: Limits,
    shown: Callable[[Sequence[Joined]], None] = lambda rows: None,
    patient: bool = False,
) -> list[Found]:
    """One for each kind of machine, after what was missing was measured. patient: waits for another who measures."""
    known, file = published(settings.published), Path(settings.file).expanduser()
    limits.check(bool(known))
    if not limits.measure and not file.is_file():
        raise ValueError(f"there is no table {file}: {TO_MEASURE}")
    with SpeedTable(file, patient) as table, _within(limits, settings) as here:
        try:
            if limits.measure:
                _fill(here, table, limits)
            else:
                _refuse_unmeasured(here.plans, table)
        except KeyboardInterrupt:
            shown(_every(here.plans, table, known))
            raise
        shown(_every(here.plans, table, known))
        return [Found(plan, joined(plan.known(table), known)) for plan in here.plans]


@contextmanager
def _within(limits: Limits, settings: BenchmarkSettings) -> Iterator[Machines]:
    """For models that are not too large anyway. Raises ValueError where all are, with the nearest one."""
    narrowed = limits.narrowed(settings)
    try:
        with machines(narrowed) as here:
            yield here
    except AllTooLarge as error:
        if narrowed.max_params == settings.max_params:
            raise
        assert limits.parameters is not None
        share = error.millions / limits.parameters - 1
        raise ValueError(
            f"limits.parameters={limits.parameters:g}: none of {error.count:,} models keeps it; the nearest is "
            f"{error.smallest} with {error.millions:.3g} million, {missed_by(share)}"
        ) from error


def _every(plans: Sequence[Plan], table: SpeedTable, known: Sequence[Published]) -> list[Joined]:
    return joined([row for plan in plans for row in plan.known(table)], known)


def _fill(here: Machines, table: SpeedTable, limits: Limits) -> None:
    """Says what is missing, measures it, and leaves the machine's stamp beside the table."""
    for plan in here.plans:
        _tell(plan, table)
    with _stamps(here.plans, table):
        here.fill(table, tracked, lambda plan: hopes(limits, plan, table))


def _tell(plan: Plan, table: SpeedTable) -> None:
    left = sum(map(len, missing(plan, table)))
    told = [foreign(table.rows.values(), plan.machine)]
    told += [differing_governor(table.file, plan.seen.stamp)]
    told += [f"{left} of {len(plan.jobs)} measurements are missing on {plan.machine.kind}"] if left else []
    for line in filter(None, told):
        console().print(line, soft_wrap=True)


@contextmanager
def _stamps(plans: Sequence[Plan], table: SpeedTable) -> Iterator[None]:
    """Beside the table, as soon as something is measured and again at its end."""
    measuring = [plan for plan in plans if missing(plan, table)]
    for plan in measuring:
        write_stamp(table.file, plan.seen.stamp)
    try:
        yield
    finally:
        for plan in measuring:
            write_stamp(table.file, plan.seen.stamp | {"ended": now()})


def _refuse_unmeasured(plans: Sequence[Plan], table: SpeedTable) -> None:
    """Raises ValueError where nothing may be measured and the table is of no help here."""
    for plan in plans:
        if told := foreign(table.rows.values(), plan.machine):
            raise ValueError(
                f"limits.measure=false, but {told}: leave limits.measure out, or name another benchmark.file"
            )
        if not plan.known(table):
            raise ValueError(f"the table {table.file} has no measurement of these models: {TO_MEASURE}")


def chosen_of(found: Found, limits: Limits, own: OwnImages | None, file: Path) -> Choice:
    """The best within limits; with images of one's own, the best on those.

    It is measured again before it is believed; what then breaks a limit counts with the figures that it showed.
    """
    doubted = limits.measure and limits.repeats and can_differ(limits) and not found.plan.settings.ray
    known, told = found.rows, list[str]()
    while (best := (choice := _best_of(known, limits, own, file)).chosen) and doubted:
        again = measured_again(best, limits, partial(measured_once, found.plan, best.row.key))
        told.append(again.told)
        if again.keeps:
            break
        known = [again.one if one is best else one for one in known]
    return replace(choice, why="; ".join((choice.why, *told)))


def _best_of(known: Sequence[Joined], limits: Limits, own: OwnImages | None, file: Path) -> Choice:
    """As these measurements have it."""
    choice = judged(known, limits)
    if own is None:
        return choice
    return on_own_images(choice, own, choice_folder(file)) if choice.ranked else replace(choice, further=own.given)


def _shown(file: Path, found: Sequence[Joined]) -> None:
    page = write_page(file, found)
    out = console()
    out.print(summary(found))
    failed = [one.row for one in found if not one.row.works]
    for row in failed[:5]:
        out.print(f"{row.model} {row.engine} {row.precision} batch {row.batch}: {row.error}")
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
    return f"{many(works, 'measurement')}{shown}" + (f", {rows - works} failed" if rows > works else "")


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else f"{value:{form}}"
