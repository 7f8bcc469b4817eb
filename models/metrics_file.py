"""metrics.csv: a row a step at which something was logged; a resumed run goes on in the same file."""

import csv
import io
from argparse import Namespace
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers.logger import Logger
from pytorch_lightning.utilities import rank_zero_only

from utils.files import write_whole


class MetricsFile(Logger):
    """Collects rows in memory and writes the file whole at each save.

    Rows of steps at or after the first one logged by a resumed run are replaced: it repeats them.
    """

    def __init__(self, folder: str) -> None:
        super().__init__()
        self.file = Path(folder) / "metrics.csv"
        self.rows = self._read()
        self.kept_until: int | None = None
        self.unsaved = False

    def _read(self) -> list[dict[str, Any]]:
        if not self.file.exists():
            return []
        with self.file.open(newline="") as file:
            return [{key: value for key, value in row.items() if value} for row in csv.DictReader(file)]

    @property
    def name(self) -> str:
        return self.file.parent.parent.name

    @property
    def version(self) -> str:
        return self.file.parent.name

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """The run folder's configuration file holds them."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        step = step or 0
        if self.kept_until is None:
            self.rows = [row for row in self.rows if int(row["step"]) < step]
            self.kept_until = step
        if not self.rows or int(self.rows[-1]["step"]) != step:
            self.rows.append({"step": step})
        self.rows[-1].update(metrics)
        self.unsaved = True

    @rank_zero_only
    def save(self) -> None:
        if not self.unsaved:
            return
        columns = ["step", *sorted({name for row in self.rows for name in row} - {"step"})]
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        write_whole(self.file, text.getvalue())
        self.unsaved = False

    @rank_zero_only
    def finalize(self, status: str) -> None:
        if self.rows:
            self.save()
