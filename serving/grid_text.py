"""The text of a grid: JSON, whose mistakes are told to who never wrote any."""

import json
import re
from typing import Any

from serving.sweeps import BadSweep

DEEPEST = 3
SHOWN = 20  # signs of what stands where the mistake is
# What Python says, what stands there, and what to do; the first that fits.
WAYS_OUT = (
    ("", r"\s*\Z", "the text ends too early: close each { with } and each [ with ]"),
    ("Extra data", r"[:,]", 'write { before the first name and } after the last value: {"EPOCHS": 3}'),
    ("Expecting value", r"\w+\s*[:=]", 'write { before the first name and } after the last value: {"EPOCHS": 3}'),
    ("Extra data", "", "the last } closes the grid before it: take this away, or that }"),
    ("Unterminated|control character", "", 'a word ends with " on the line where it begins'),
    ("escape", "", r"take the \ away"),
    ("", r"//|/\*|#", "remarks are not understood: take them away"),
    ("", "['‘’‚“”„«»`]", 'names and words stand in straight double quotes: "EPOCHS"'),
    ("trailing comma", "", "take this comma away"),
    ("Expecting (property name|value)", r"[]}]", "take away the comma before it, or write a value there"),
    ("Expecting (property name|value)", ",", "one comma is too many, or a value is missing before it"),
    ("property name", r"[\d.]", "a number has a point for its decimals: 0.001"),
    ("property name", "", 'names stand in double quotes: "EPOCHS"'),
    ("Expecting value", "True|False|None", "these are called true, false and null"),
    ("Expecting value", r"[.+]", "a number begins with a digit: 0.001"),
    ("Expecting value", "", 'words stand in double quotes: "adamw"'),
    ("':' delimiter", "", 'between a name and its value stands a colon: "EPOCHS": 3'),
    ("',' delimiter", r"(?<=\d)[^]}[{\"\s]", "a number has digits and, for decimals, a point between them: 0.001"),
    ("',' delimiter", r"[]}]", "what begins with [ ends with ], and what begins with { ends with }"),
    ("", "", "between two values, and before the next name, stands a comma"),
)  # fmt: skip


def read_json(text: str | bytes) -> dict[str, Any]:
    """A JSON object, in which no key comes twice and nothing lies deep. Raises BadSweep."""
    try:
        found = json.loads(text, object_pairs_hook=_once, parse_constant=_refuse_constant)
        depth = _depth(found)
    except BadSweep:
        raise
    except json.JSONDecodeError as error:
        raise BadSweep(f"this is no JSON: {_told(error)}") from error
    except UnicodeDecodeError as error:
        raise BadSweep("this is no JSON: its letters cannot be read; save the file as UTF-8") from error
    except RecursionError as error:
        raise BadSweep("this is no JSON that can be meant: too many brackets lie in one another") from error
    except ValueError as error:  # Python's own limit
        raise BadSweep("this is no JSON that can be meant: a number has thousands of digits") from error
    if not isinstance(found, dict):
        raise BadSweep('a grid is names with values, in {} brackets: {"LEARNING_RATE": [0.001, 0.002]}')
    if depth > DEEPEST:
        raise BadSweep(f"the JSON is nested deeper than {DEEPEST}")
    return found


def _told(error: json.JSONDecodeError) -> str:
    """Where a mistake is, and the likely way out."""
    line = error.doc[error.pos :].partition("\n")[0].strip()
    seen = f"at {line[:SHOWN]}{'…' if len(line) > SHOWN else ''}" if line else "at its end"
    way_out = next(
        way
        for said, there, way in WAYS_OUT
        if re.search(said, error.msg) and re.compile(there).match(error.doc, error.pos)
    )
    return f"line {error.lineno}, column {error.colno}, {seen} — {way_out}"


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise BadSweep(f"{twice[0][:80]} is given twice")
    return dict(pairs)


def _refuse_constant(name: str) -> None:
    raise BadSweep(f"{name} is no number")


def _depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max((_depth(one) for one in inner if isinstance(one, dict | list)), default=0)
