"""Tables that users write: what is no CSV in UTF-8 is refused by name."""

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any


@contextmanager
def lines_of(text: IO[str], told_as: str, **options: Any) -> Iterator["csv.DictReader[str]"]:
    """A CSV's lines by column. told_as: what an error calls it; options: of csv.DictReader.

    Raises ValueError for what is no CSV or not in UTF-8, with the line before it.
    """
    lines = csv.DictReader(text, **options)
    try:
        yield lines
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{told_as}, after line {lines.line_num}: {error}; save it as CSV in UTF-8") from error
