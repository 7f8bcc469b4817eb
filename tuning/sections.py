"""What the report of a run tells of the choices that were made for it."""

from collections.abc import Callable, Sequence

from models.run import Run
from tuning import auto_report, verdicts
from tuning.interruption import place
from tuning.problem import Problem
from utils.report import Section


def sections(problem: Problem | None) -> Callable[[Run], Sequence[Section]]:
    """The search that found its configuration, where there was one, and the automatic optimizer, where it was asked."""

    def told(run: Run) -> Sequence[Section]:
        chosen = [*verdicts.sections(run), *auto_report.sections(run)]
        if problem is None:
            return chosen
        from tuning.results import sections_of
        from tuning.study import Study

        return [*sections_of(Study(problem, place(run))), *chosen]

    return told
