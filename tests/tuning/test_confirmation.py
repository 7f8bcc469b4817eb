"""Measuring a choice again: what it must show to be believed."""

from dataclasses import replace

import pytest

from tuning.confirmation import can_differ, measured_again
from tuning.limits import Limits
from tuning.published import Joined
from tuning.speed_table import Row

ROW = Row(
    "resnet18", "eager", "fp32", 1, "224x224", "inference", "versions", "machine", p50_ms=9.0, p95_ms=9.9,
    images_per_s=100.0, peak_mib=500.0, disk_mib=45.0, parameters=11_000_000,
)  # fmt: skip
ONE = Joined(ROW, None)


def again(limits, column, values, **further):
    """What is found, and how many measurements it took."""
    left = [replace(ROW, **{column: value}, **further) for value in values]
    found = measured_again(ONE, limits, lambda: left.pop(0))
    return found, len(values) - len(left)


def test_what_stays_well_below_the_limit_is_believed_after_three():
    found, taken = again(Limits(latency_ms=10.0), "p95_ms", [9.0, 9.1, 9.0, 9.0, 9.0])
    assert found.keeps and taken == 3 and 9.1 < found.one.row.p95_ms < 10
    assert found.told.startswith("measured again 3 times, the next is 95 % sure to keep p95 9.2")


def test_the_first_that_breaks_the_limit_ends_it():
    found, taken = again(Limits(latency_ms=10.0), "p95_ms", [9.9, 10.1, 9.0])
    assert not found.keeps and taken == 2 and found.one.row.p95_ms == 10.1
    assert "resnet18 is left out: measured again 2 times it shows p95 10.1 ms (at most 10)" in found.told


def test_what_varies_too_much_is_not_believed_though_each_kept_the_limit():
    found, taken = again(Limits(latency_ms=10.0), "p95_ms", [8.0, 9.9, 8.2, 9.8, 9.0])
    assert not found.keeps and taken == 5 and found.one.row.p95_ms > 10


def test_more_measurements_can_settle_what_three_left_open():
    found, taken = again(Limits(latency_ms=10.0), "p95_ms", [9.0, 9.5, 9.2, 9.2, 9.2])
    assert found.keeps and taken == 4


def test_throughput_is_bounded_from_below():
    found, _ = again(Limits(throughput=90.0), "images_per_s", [100.0, 101.0, 100.0])
    assert found.keeps and 90 < found.one.row.images_per_s < 100
    assert not again(Limits(throughput=90.0), "images_per_s", [100.0, 80.0])[0].keeps


def test_what_fails_is_left_out_with_its_error():
    found, taken = again(Limits(latency_ms=10.0), "p95_ms", [None], error="out of memory")
    assert not found.keeps and taken == 1 and "out of memory" in found.told


def test_only_figures_of_a_run_are_worth_a_second_look():
    assert [limit.key for limit in can_differ(Limits(latency_ms=5, disk_mib=9, memory_mib=9))] == [
        "latency_ms", "memory_mib",
    ]  # fmt: skip
    assert can_differ(Limits(parameters=5, accuracy=70)) == []


@pytest.mark.parametrize("repeats", [-1, 1, 2])
def test_too_few_repeats_are_refused(repeats):
    with pytest.raises(ValueError, match=rf"limits\.repeats={repeats}: use 3 or more"):
        Limits(repeats=repeats)
