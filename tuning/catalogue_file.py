"""Counts the costs of all of timm's models: python -m tuning.catalogue_file, after an update of timm.

What is counted is written as it goes, so that the same command goes on after an interruption. A model that cannot be
counted, by itself or within this machine's memory, has a line without numbers.
"""

import csv
from collections.abc import Iterable
from io import StringIO

import timm

from tuning import catalogue
from tuning.catalogue import NUMBERS, Entry, costs, entry_of
from utils.files import write_whole

COLUMNS = ("model", *NUMBERS)
AT_ONCE = 25  # models between two writings


def written(found: Iterable[Entry]) -> int:
    """The file anew, by name; answers how many of them have costs."""
    ordered = sorted(found, key=lambda entry: entry.model)
    text = StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(COLUMNS)
    lines.writerows([getattr(entry, column) for column in COLUMNS] for entry in ordered)
    write_whole(catalogue.FILE, text.getvalue())
    catalogue.known.cache_clear()
    return sum(entry.macs is not None for entry in ordered)


def completed(names: list[str]) -> int:
    """Counts those that the file lacks, and drops what it has of others; answers how many have costs."""
    counted = {name: entry for name, entry in catalogue.known().items() if name in names}
    left = [entry_of(name, None) for name in names if name not in counted]
    for place in range(0, len(left), AT_ONCE):
        counted |= costs(left[place : place + AT_ONCE])
        written(counted.values())
        print(f"{place + len(left[place : place + AT_ONCE])} of {len(left)}", flush=True)
    return written(counted.values())


if __name__ == "__main__":
    models = timm.list_models()
    print(f"{completed(models)} of {len(models)} models counted: {catalogue.FILE}")
