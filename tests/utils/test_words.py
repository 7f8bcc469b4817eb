"""One is no plural."""

from utils.words import images_a_second, many


def test_one_thing_is_one_and_all_else_are_several():
    assert [many(count, "step") for count in (0, 1, 1570)] == ["0 steps", "1 step", "1,570 steps"]
    assert [images_a_second(rate) for rate in (0.041, 1.3, 1570.2)] == ["0.04 images/s", "1 image/s", "1,570 images/s"]
