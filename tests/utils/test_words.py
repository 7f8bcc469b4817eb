"""One is no plural, and nothing is null."""

from utils.words import figure, images_a_second, many, written


def test_one_thing_is_one_and_all_else_are_several():
    assert [many(count, "step") for count in (0, 1, 1570)] == ["0 steps", "1 step", "1,570 steps"]
    assert [images_a_second(rate) for rate in (0.041, 1.3, 1570.2)] == ["0.04 images/s", "1 image/s", "1,570 images/s"]


def test_a_value_is_written_as_it_stands_in_a_grid():
    told = [written(value) for value in (None, True, 0.1, "a", [1, None], {"a": [False, "b"]})]
    assert told == ["null", "true", "0.1", "'a'", "[1, null]", "{a: [false, 'b']}"]


def test_a_whole_number_is_told_whole():
    assert [figure(value) for value in (654.0, 1e6, 0.9375, -2.0)] == ["654", "1,000,000", "0.9375", "-2"]
