"""Help after a misspelt name, and what a constructor takes."""

from utils.signature import MOST_NAMED, nearest, signature_in_source


def test_the_closest_names_are_offered_else_a_few_of_all():
    assert nearest("resnet81", ["resnet18", "vit"]) == "did you mean resnet18?"
    assert nearest("zzz", ["b", "a", "a"]) == "known are: a, b"
    many = nearest("zzz", [f"name {number:04}" for number in range(1371)])
    assert many.startswith("known are: name 0000, name 0001") and many.endswith(f" and {1371 - MOST_NAMED:,} more")


def test_what_belongs_to_a_class_as_a_whole_is_no_argument():
    assert set(signature_in_source("serving.engines.onnxruntime.OnnxRuntime").types) == {"threads"}
