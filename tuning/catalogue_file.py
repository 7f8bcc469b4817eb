"""Counts the costs of all of timm's models: python -m tuning.catalogue_file, after an update of timm."""

import csv
from io import StringIO

from tuning.benchmark_settings import BenchmarkSettings
from tuning.catalogue import FILE, NUMBERS, Entry, entries
from utils.files import write_whole

COLUMNS = ("model", *NUMBERS)


def written(found: list[Entry]) -> int:
    """How many could be counted; models that are known keep their line."""
    known = sorted((entry for entry in found if entry.macs is not None), key=lambda entry: entry.model)
    text = StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(COLUMNS)
    lines.writerows([getattr(entry, column) for column in COLUMNS] for entry in known)
    write_whole(FILE, text.getvalue())
    return len(known)


if __name__ == "__main__":
    models = entries(BenchmarkSettings())
    print(f"{written(models)} of {len(models)} models counted: {FILE}")
