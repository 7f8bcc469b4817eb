"""Work spread over threads: reading, hashing and decoding release the interpreter's lock."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def spread(
    work: Callable[[Item], Result], items: Sequence[Item], title: str, weight: Callable[[Item], int]
) -> Iterator[Result]:
    """The results of `work` in the items' order, with a progress bar of their weights that vanishes when it is done."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task(title, total=sum(map(weight, items)))
        pool = ThreadPoolExecutor(cores())
        try:
            for item, result in zip(items, pool.map(work, items), strict=True):
                progress.advance(bar, weight(item))
                yield result
        finally:
            pool.shutdown(cancel_futures=True)
