"""How far a benchmark is: a bar with the time that is left, or a line for each model where there is no terminal."""

from collections.abc import Iterable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from tuning.jobs import Job
from utils.log import console

SPEED_KNOWN_S = 600.0  # of the last minutes, from which the time left is told


def tracked(models: Iterable[list[Job]], total: int) -> Iterable[list[Job]]:
    """Each model's jobs. The bar is drawn by this process's one thread, since forking with others is unsafe."""
    out = console()
    if not total:
        return
    if not out.is_terminal:
        yield from _by_line(models, total, out)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
               TextColumn("left"), TimeRemainingColumn())  # fmt: skip
    with Progress(*columns, console=out, auto_refresh=False, speed_estimate_period=SPEED_KNOWN_S) as bar:
        task = bar.add_task("models", total=total)
        for own in models:
            bar.update(task, description=own[0].model, refresh=True)
            yield own
            bar.update(task, advance=1, refresh=True)


def _by_line(models: Iterable[list[Job]], total: int, out: Console) -> Iterable[list[Job]]:
    for number, own in enumerate(models, 1):
        out.print(f"{number}/{total} {own[0].model} {own[0].size}")
        yield own
