"""Where a table was measured, and what another machine is told of it."""

import json
from dataclasses import replace

import pytest

from tuning.jobs import Chosen, Machine
from tuning.speed_table import Row
from tuning.stamp import differing_governor, foreign, read_stamps, stamp_file, stamped, write_stamp

HERE = Machine("a CPU, 2 threads", "torch 2, timm 1")
ENGINES = [
    Chosen("eager", "fp32", {}, "torch 2, timm 1"),
    Chosen("openvino", "fp32", {}, "torch 2, timm 1, openvino 3"),
]
ROW = Row("resnet18", "eager", "fp32", 1, "224x224", "inference", "torch 2, timm 1", "a CPU, 2 threads", p50_ms=1.0)


def test_a_stamp_says_what_a_measurement_hangs_on():
    stamp = stamped(HERE, 2, ENGINES)
    assert stamp["machine"] == "a CPU, 2 threads" and stamp["threads"] == 2 and len(stamp["versions"]) == 2
    assert {"python", "system", "cpu", "cores", "governor", "memory_mib", "load", "begun", "command"} <= set(stamp)
    assert stamp["command"].startswith("python ")


def test_a_machine_has_one_stamp_that_keeps_its_beginning(tmp_path):
    table = tmp_path / "t.csv"
    first = stamped(HERE, 2, ENGINES) | {"begun": "2026-11-01T00:00:00Z"}
    write_stamp(table, first)
    write_stamp(table, stamped(replace(HERE, kind="another"), 2, ENGINES))
    write_stamp(table, first | {"begun": "2026-11-02T00:00:00Z", "ended": "2026-11-03T00:00:00Z"})
    stamps = {one["machine"]: one for one in read_stamps(table)}
    assert len(stamps) == 2
    mine = stamps["a CPU, 2 threads"]
    assert (mine["begun"], mine["ended"]) == ("2026-11-01T00:00:00Z", "2026-11-03T00:00:00Z")
    assert json.loads(stamp_file(table).read_text())["table"] == "t.csv"


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([], None),
        ([ROW], None),
        ([replace(ROW, versions="torch 2, timm 1, openvino 3")], None),
        ([replace(ROW, machine="a GPU"), ROW], None),
        ([replace(ROW, machine="a GPU")], "this table is of another machine: a GPU; this one is a CPU, 2 threads"),
        ([replace(ROW, versions="torch 1, timm 1")], "of other versions: torch 1, timm 1; here is torch 2, timm 1"),
    ],
)
def test_a_table_of_another_machine_or_of_other_versions_is_told(rows, told):
    said = foreign(rows, HERE)
    assert said is None if told is None else told in said


def test_another_setting_of_the_clock_is_told(tmp_path):
    stamp = stamped(HERE, 2, ENGINES) | {"governor": "performance"}
    write_stamp(tmp_path / "t.csv", stamp)
    assert differing_governor(tmp_path / "t.csv", stamp) is None
    said = differing_governor(tmp_path / "t.csv", stamp | {"governor": "powersave"})
    assert "governor performance, now it is powersave" in said


@pytest.mark.parametrize("content", ["{", "[]", '{"table": 3}'])
def test_a_file_that_is_no_stamp_is_named(tmp_path, content):
    stamp_file(tmp_path / "t.csv").write_text(content)
    with pytest.raises(ValueError, match=r"t\.json is no stamp of t\.csv"):
        read_stamps(tmp_path / "t.csv")
