"""A grid's text is read whole, or refused in words for who never wrote JSON."""

import pytest

from serving.grid_text import read_json
from serving.sweeps import BadSweep


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"a": 1, "a": 2}', "given twice"),
        ("[1]", "names with values"),
        ("{", "no JSON"),
        ('{"a": NaN}', "no number"),
        ('{"a": {"b": {"c": {"d": 1}}}}', "deeper"),
        ("[" * 100_000, "no JSON"),
        ('{"a": ' + "[" * 100 + "]" * 100 + "}", "deeper"),
        ('{"a": ' + "[" * 800 + "]" * 800 + "}", "no JSON|deeper"),
        ('{"a": ' + "9" * 5000 + "}", "thousands of digits"),
        (b"\xff", "save the file as UTF-8"),
    ],
)
def test_a_json_that_cannot_be_meant_is_refused(text, why):
    with pytest.raises(BadSweep, match=why):
        read_json(text)


@pytest.mark.parametrize(
    ("text", "where", "way_out"),
    [
        ('{\n  "EPOCHS": 3,\n}', "line 3, column 1, at }", "take away the comma before it"),
        ('{"a": [1,]}', "line 1, column 10", "take away the comma before it"),
        ("{EPOCHS: 3}", "line 1, column 2, at EPOCHS: 3}", 'names stand in double quotes: "EPOCHS"'),
        ("{'EPOCHS': 3}", "line 1, column 2", "straight double quotes"),
        ('{"a": 1, “b”: 2}', "column 10", "straight double quotes"),
        ('{"a": adamw}', "column 7, at adamw}", 'words stand in double quotes: "adamw"'),
        ('{"a": True}', "column 7", "true, false and null"),
        ('{"a": .5}', "column 7", "begins with a digit"),
        ('{"a": 0,001}', "column 9, at 001}", "a point for its decimals"),
        ('{"a": [0,001]}', "column 11", "a point between them"),
        ('{"a": 1/3}', "column 8, at /3}", "digits and"),
        ('{"a": 1\n "b": 2}', "line 2, column 2", "stands a comma"),
        ('{"a": [1 2]}', "column 10", "stands a comma"),
        ('{"a" 3}', "column 6", "stands a colon"),
        ('{"a": [1,,2]}', "column 10", "one comma is too many"),
        ('{"a": [1, 2', "column 12, at its end", "ends too early"),
        ('{"a": "x\n}', "line 1", 'a word ends with "'),
        ('{"a": "\\x"}', "column 8", "take the"),
        ('{"a": [1, 2}', "column 12", "begins with [ ends with ]"),
        ('"a": 3', "column 4", "write { before the first name"),
        ("EPOCHS=3", "column 1", "write { before the first name"),
        ('{"a": 3}}', "column 9", "closes the grid before it"),
        ('{\n // so many\n"a": 3}', "line 2, column 2, at // so many", "remarks are not understood"),
    ],
)
def test_a_slip_is_told_by_its_place_and_the_way_out(text, where, way_out):
    with pytest.raises(BadSweep) as caught:
        read_json(text)
    told = str(caught.value)
    assert where in told and way_out in told and "Expecting" not in told
