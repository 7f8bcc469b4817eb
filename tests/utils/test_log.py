"""How messages are shown."""

import io

import pytest
from rich.table import Table

from utils.log import console, first_line


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ValueError("one\ntwo"), "one"),
        (RuntimeError("\n  indented\n"), "indented"),
        (RuntimeError(), "RuntimeError"),
        (KeyError(" "), "' '"),
    ],
)
def test_an_error_is_told_in_one_line_even_where_it_says_nothing(error, told):
    assert first_line(error) == told


def test_brackets_and_colons_of_a_path_or_class_are_shown_as_they_are():
    name, shown = "/data/my [old] runs/[/old]:cat:", io.StringIO()
    table = Table(name, title=name)
    table.add_row(name)
    console(shown).print(name)
    console(shown).print(table)
    assert shown.getvalue().count(name) == 4
