"""One is no plural."""

from utils.words import many


def test_one_thing_is_one_and_all_else_are_several():
    assert [many(count, "step") for count in (0, 1, 1570)] == ["0 steps", "1 step", "1,570 steps"]
