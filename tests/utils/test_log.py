"""How messages are shown."""

import pytest

from utils.log import first_line


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
