"""The best model that keeps all limits, from measurements; where none does, the nearest one and what it breaks."""

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from tuning import finetune_page
from tuning.benchmark_page import COLUMNS, cells, name, page_folder, pareto_chart
from tuning.benchmarking import Plan
from tuning.finetune_settings import OwnImages
from tuning.finetuning import Finetuned, finetuned
from tuning.jobs import Job
from tuning.limits import OBJECTIVES, Limits, missed_by
from tuning.published import Joined
from tuning.speed_table import SpeedTable
from utils.charts import Chart
from utils.configuration import option
from utils.log import console
from utils.report import Charts, Section, Stat, Stats, Text, write_report
from utils.report import Table as PageTable

HOPELESS, FAR = 15, 2.0  # so many models in a row above so many times the limit: larger ones are not measured
MOST_SHOWN = 15


@dataclass(frozen=True)
class Choice:
    """ranked: all that keep every limit, the best first. chosen: the first; else nearest is what comes closest.

    further: overrides for train.py beside the network's. finetuned: how candidates did on the user's own images.
    """

    ranked: list[Joined]
    nearest: Joined | None
    why: str
    further: tuple[str, ...] = ()
    finetuned: Finetuned | None = None

    @property
    def chosen(self) -> Joined | None:
        return self.ranked[0] if self.ranked else None

    @property
    def overrides(self) -> list[str]:
        """For train.py; none without a choice."""
        if self.chosen is None:
            return []
        weights = self.chosen.published.name if self.chosen.published else self.chosen.row.model
        height, width = self.chosen.row.size.split("x")
        return ["models=timm", f"models.architecture={weights}", f"datamodule.height={height}",
                f"datamodule.width={width}", *self.further]  # fmt: skip

    @property
    def engine(self) -> list[str]:
        """For test.py: how it was as fast as that."""
        if self.chosen is None or (self.chosen.row.engine, self.chosen.row.precision) == ("eager", "fp32"):
            return []
        engine, precision = self.chosen.row.engine, self.chosen.row.precision
        kind = [f"engine.type={precision}"] if "type" in option("engine", engine) else []
        return ["tester.trt_opt=True", f"engine={engine}", *kind]


def judged(found: Sequence[Joined], limits: Limits) -> Choice:
    """Raises ValueError where nothing was measured."""
    works = [one for one in found if one.row.works and one.row.mode == "inference"]
    if not works:
        raise ValueError("no model could be measured, so none can be chosen: see the errors in the table")
    ranked = sorted((one for one in works if not limits.breaches(one)), key=lambda one: rank(one, limits))
    if ranked:
        return Choice(ranked, None, _reason(ranked, works, limits))
    closest = min(works, key=lambda one: (max(limits.breaches(one).values()), rank(one, limits)))
    return Choice([], closest, _regret(closest, works, limits))


def rank(one: Joined, limits: Limits) -> tuple[float, float, str]:
    """The smaller the better: the objective, what is unknown last; then the latency; then the name."""
    objective = OBJECTIVES[limits.objective]
    value = objective.figure(one)
    cost = float("inf") if value is None else -value if objective.at_least else value
    return cost, one.row.p95_ms or float("inf"), name(one)


def _reason(ranked: Sequence[Joined], works: Sequence[Joined], limits: Limits) -> str:
    best, objective = ranked[0], OBJECTIVES[limits.objective]
    value = objective.figure(best)
    what = "no figure of the objective is known: the fastest" if value is None else (
        f"the {'highest' if objective.at_least else 'lowest'} {objective.title}, {value:.4g}{objective.unit},"
    )  # fmt: skip
    kept = ", ".join(limit.told(best, getattr(limits, limit.key)) for limit in limits.given)
    elsewhere = f"; its accuracy was published for images of {best.of_size} pixels" if best.of_size else ""
    return (
        f"{name(best)}: {what} of {len(ranked)} that keep all limits ({len(works)} measured)"
        f"{': ' * bool(kept)}{kept}{elsewhere}"
    )


def _regret(closest: Joined, works: Sequence[Joined], limits: Limits) -> str:
    broken = limits.breaches(closest)
    told = [
        f"{limit.told(closest, getattr(limits, limit.key))}"
        + (f", {missed_by(share, limit.at_least)}" if share != float("inf") else "")
        for limit, share in broken.items()
    ]
    nearest = f"the nearest is {name(closest)}, which breaks {'; '.join(told)}"
    return f"none of {len(works)} measured keeps all limits; {nearest}"


def on_own_images(choice: Choice, own: OwnImages, folder: Path) -> Choice:
    """The same, ranked by what short trainings showed. folder: keeps them, for the same command."""
    found = finetuned(own, choice.ranked, folder)
    tried = [one.one for one in found.tried if one.figures]
    return Choice(tried, None, found.why, own.given, found)


def hopes(limits: Limits, plan: Plan, table: SpeedTable) -> Callable[[Job], bool]:
    """Whether a job may still keep the latency: models come by their cost, and at some point all are far above it."""
    if limits.latency_ms is None:
        return lambda job: True
    most = FAR * limits.latency_ms
    known = [job.key for job in plan.jobs]

    def worth(job: Job) -> bool:
        alike = [table.rows[key] for key in known if key in table.rows and key[1:4] == job.key[1:4]]
        last = [row.p95_ms for row in alike if row.p95_ms is not None][-HOPELESS:]
        return len(last) < HOPELESS or min(last) <= most

    return worth


def show_choice(choice: Choice, found: Sequence[Joined], file: Path, limits: Limits) -> None:
    """The ranked table, the reason, the lines to paste, the page. file: the table's, beside which the page lies."""
    out = console()
    if choice.finetuned:
        out.print(finetune_page.ranking(choice.finetuned))
    elif choice.ranked:
        out.print(ranking(choice.ranked))
    out.print(choice.why, soft_wrap=True)
    if choice.chosen:
        out.print(f"train it:  python train.py {shlex.join(choice.overrides)}", soft_wrap=True)
    if choice.engine:
        out.print(f"deploy it: python test.py {' '.join(choice.engine)}", soft_wrap=True)
    out.print(f"page:  {write_choice(choice, found, file, limits)}", soft_wrap=True)


def ranking(ranked: Sequence[Joined]) -> Table:
    table = Table("", "model", "top-1 %", "p95 ms", "images/s", "MiB", "disk MiB", title="Keep all limits")
    for number, one in enumerate(ranked[:MOST_SHOWN], 1):
        row = one.row
        figures = (one.top1, row.p95_ms, row.images_per_s, row.peak_mib, row.disk_mib)
        table.add_row(str(number), name(one), *("–" if value is None else f"{value:.4g}" for value in figures))
    return table


def write_choice(choice: Choice, found: Sequence[Joined], file: Path, limits: Limits) -> Path:
    """Answers the page's path."""
    best = choice.chosen or choice.nearest
    head = Section("", (Stats(_stats(choice, best, limits)), Text(choice.why), Text(shlex.join(choice.overrides))))
    rows = tuple(cells(one, False) for one in choice.ranked)
    kept = [Section("Keep all limits", (PageTable(COLUMNS, rows),))] if rows else []
    own = [finetune_page.section(choice.finetuned)] if choice.finetuned else []
    picture = [Section("Accuracy and latency", (Charts((chart,)),)) for chart in _pictures(found, best)]
    return write_report(choice_folder(file), "The best model within limits", [head, *own, *picture, *kept])


def choice_folder(file: Path) -> Path:
    """Beside the table."""
    return page_folder(file) / "choice"


def _stats(choice: Choice, best: Joined | None, limits: Limits) -> tuple[Stat, ...]:
    """The figure that it was chosen by; its name would be too long for so large a type."""
    kept = Stat("Keep all limits", f"{len(choice.ranked):,}")
    if best is None:
        return (kept,)
    title = f"{'Chosen' if choice.chosen else 'Nearest'}: {name(best)}"
    if choice.finetuned:
        return Stat(title, f"{choice.finetuned.best.figures[-1]:.4f}", choice.finetuned.objective.figure), kept
    objective = OBJECTIVES[limits.objective]
    value = objective.figure(best)
    return Stat(title, "–" if value is None else f"{value:.4g}{objective.unit}", objective.title), kept


def _pictures(found: Sequence[Joined], best: Joined | None) -> list[Chart]:
    """Those of the best one's batch size, where accuracies are known."""
    works = [one for one in found if one.row.works and one.row.mode == "inference" and one.top1 is not None]
    alike = [one for one in works if best is not None and one.row.batch == best.row.batch]
    return [pareto_chart(alike, alike[0].row.batch)] if alike else []
