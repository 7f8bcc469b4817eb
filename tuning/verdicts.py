"""Choices with their reasons: the same words in the log, in automatic.json and in the report."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from models.run import Run
from utils.files import write_whole
from utils.report import Column, Section, Table

NAME = "automatic.json"


@dataclass(frozen=True)
class Verdict:
    """what: was to be chosen. chosen: the value in words. why: the figures that speak for it."""

    what: str
    chosen: str
    why: str

    def __str__(self) -> str:
        return f"{self.what}: {self.chosen} ({self.why})"


def write(folder: Path, verdicts: list[Verdict]) -> None:
    write_whole(folder / NAME, json.dumps([asdict(verdict) for verdict in verdicts], indent=1))


def sections(run: Run) -> list[Section]:
    """The report's section, from the run's folder; none where nothing was chosen."""
    file = run.folder / NAME
    if not file.is_file():
        return []
    rows = tuple((one["what"], one["chosen"], one["why"]) for one in json.loads(file.read_text()))
    table = Table((Column("What"), Column("Chosen"), Column("Why", wraps=True)), rows)
    return [Section("Automatic choices", (table,), "What was chosen for this run, and the figures that spoke for it.")]
