"""Help after a misspelt name, and what a constructor takes."""

from typing import Literal

import pytest

from utils.signature import MOST_NAMED, Signature, nearest, problems, signature_in_source


def test_the_closest_names_are_offered_else_a_few_of_all():
    assert nearest("resnet81", ["resnet18", "vit"]) == "did you mean resnet18?"
    assert nearest("zzz", ["b", "a", "a"]) == "known are: a, b"
    many = nearest("zzz", [f"name {number:04}" for number in range(1371)])
    assert many.startswith("known are: name 0000, name 0001") and many.endswith(f" and {1371 - MOST_NAMED:,} more")


def test_what_belongs_to_a_class_as_a_whole_is_no_argument():
    assert set(signature_in_source("serving.engines.onnxruntime.OnnxRuntime").types) == {"threads"}


@pytest.mark.parametrize(
    ("kind", "value", "told"),
    [
        (int, "many", "a='many': expected a whole number (such as 3)"),
        (int, 1.5, "a=1.5: expected a whole number (such as 3)"),
        (float | None, True, "a=true: expected a number (such as 0.01), not a truth value"),
        (list[int], 8, "a=8: expected a list (such as [1, 2])"),
        (list[int], ["b"], "a=['b']: expected a whole number (such as 3) in place of 'b'"),
        (Literal["b", "c"], "d", "a='d': expected 'b' or 'c'"),
        (dict[str, int] | bool, "x", "a='x': expected names with values (such as {a: 1}) or true or false"),
        (str, 3, "a=3: expected text; where 3 is a name, quote it ('\"3\"' on a command line)"),
    ],
)
def test_a_value_of_the_wrong_type_is_told_in_plain_words(kind, value, told):
    assert problems("f", {"a": value}, Signature({"a": kind})) == [told]
