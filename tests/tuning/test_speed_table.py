"""A table that outlives crashes."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import pytest

from tuning.speed_table import COLUMNS, Row, SpeedTable, read_rows

ROW = Row("resnet18", "eager", "fp32", 1, "224x224", "inference", "torch 2.15.0, timm 1.0.31", "a CPU, 2 threads",
          p50_ms=12.5, p95_ms=14.0, calls=30, parameters=11_689_512, computed_in="fp32")  # fmt: skip
FAILED = replace(ROW, batch=32, p50_ms=None, p95_ms=None, calls=None, error='its process "crashed",\nat night')
ROOT = Path(__file__).parent.parent.parent


def write(file, *rows):
    with SpeedTable(file) as table:
        for row in rows:
            table.add(row)


def test_rows_come_back_as_they_were_written(tmp_path):
    write(tmp_path / "new folder" / "t.csv", ROW, FAILED)
    assert read_rows(tmp_path / "new folder" / "t.csv") == [
        ROW,
        replace(FAILED, error='its process "crashed", at night'),
    ]


def test_a_newer_row_of_the_same_key_takes_the_place_of_the_older(tmp_path):
    write(tmp_path / "t.csv", FAILED, ROW, replace(FAILED, error="", p50_ms=3.0))
    assert [row.works for row in read_rows(tmp_path / "t.csv")] == [True, True]


@pytest.mark.parametrize("field", ["model", "engine", "precision", "batch", "size", "mode", "versions", "machine"])
def test_what_differs_in_any_part_of_the_key_is_another_row(tmp_path, field):
    other = replace(ROW, **{field: 2 if field == "batch" else "another"})
    write(tmp_path / "t.csv", ROW, other)
    assert read_rows(tmp_path / "t.csv") == [ROW, other]


def test_a_line_cut_short_anywhere_is_dropped_and_the_table_goes_on(tmp_path):
    file = tmp_path / "t.csv"
    write(file, ROW, FAILED)
    whole = file.read_bytes()
    ends = [place + 1 for place, byte in enumerate(whole) if byte == ord("\n")]
    for length in range(0, len(whole), 7):
        file.write_bytes(whole[:length])
        write(file)
        complete = sum(end <= length for end in ends)
        assert len(read_rows(file)) == max(0, complete - 1), length
        write(file, ROW)
        assert ROW in read_rows(file)


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ("model,batch\n", "lacks activations, calls, computed_in"),
        (",".join([*COLUMNS, "joules"]) + "\n", "has joules"),
        (",".join(reversed(COLUMNS)) + "\n", "in another order"),
        ("name,price\napples,3\npears,4", "is no table of this version"),
        ("some words", "is no table of this version"),
    ],
)
def test_a_table_with_other_columns_is_refused_and_left_alone(tmp_path, header, told):
    file = tmp_path / "t.csv"
    file.write_text(header)
    with pytest.raises(ValueError, match=told):
        write(file, ROW)
    assert file.read_text() == header


def test_a_table_of_another_version_is_refused_by_its_line(tmp_path):
    file = tmp_path / "t.csv"
    write(file, ROW, replace(FAILED, table=99))
    with pytest.raises(ValueError, match="line 3 is of version 99, this is 1: name another file"):
        write(file)


def test_a_cell_that_is_no_number_is_named_with_its_line(tmp_path):
    file = tmp_path / "t.csv"
    write(file, ROW)
    file.write_text(file.read_text().replace(",12.5,", ",fast,"))
    with pytest.raises(ValueError, match=r"line 2 cannot be read .*fast"):
        read_rows(file)


@pytest.mark.parametrize(("change", "told"), [(lambda line: line + ",", 23), (lambda line: line[:-2], 21)])
def test_a_row_with_more_or_fewer_cells_than_columns_is_named_with_its_line(tmp_path, change, told):
    file = tmp_path / "t.csv"
    write(file, ROW, FAILED)
    head, first, second = file.read_text().splitlines()
    file.write_text("\n".join([head, first, "", change(second), ""]))
    with pytest.raises(ValueError, match=rf"t\.csv, line 4 cannot be read \({told} cells in 22 columns\): mend"):
        read_rows(file)


@pytest.mark.parametrize("spoilt", [b"caf\xe9,1\n", b'"' + 200_000 * b"x" + b'"\n'])
def test_a_file_that_is_no_text_table_is_named_with_the_way_out(tmp_path, spoilt):
    file = tmp_path / "t.csv"
    write(file, ROW)
    file.write_bytes(file.read_bytes() + spoilt)
    with pytest.raises(ValueError, match=r"t\.csv cannot be read after line .*: mend it, or name another file"):
        write(file)


def test_two_processes_never_write_the_same_table(tmp_path):
    with SpeedTable(tmp_path / "t.csv"), pytest.raises(ValueError, match="being written by another benchmark"):
        write(tmp_path / "t.csv", ROW)


WAITS = """
import sys
from pathlib import Path
from tuning.speed_table import SpeedTable
with SpeedTable(Path(sys.argv[1]), patient=True) as table:
    print(len(table.rows))
"""


def test_a_patient_one_waits_until_the_other_has_ended(tmp_path):
    with SpeedTable(tmp_path / "t.csv") as held:
        line = [sys.executable, "-c", WAITS, str(tmp_path / "t.csv")]
        other = subprocess.Popen(line, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        with pytest.raises(subprocess.TimeoutExpired):
            other.wait(1.0)
        held.add(ROW)
    assert other.communicate(timeout=60)[0] == "1\n" and other.returncode == 0


def test_a_place_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"benchmark.file=.*t.csv cannot be written \(.+\); name another place"):
        write(tmp_path / "file" / "t.csv", ROW)


def forever(file, told):
    with SpeedTable(file) as table:
        for number in range(10**6):
            table.add(replace(ROW, batch=number + 1))
            told.send(number + 1)


def test_kill_9_loses_no_row_that_was_added(tmp_path):
    heard, told = get_context("fork").Pipe(duplex=False)
    writer = get_context("fork").Process(target=forever, args=(tmp_path / "t.csv", told))
    writer.start()
    told.close()
    while heard.recv() < 40:
        pass
    os.kill(writer.pid, signal.SIGKILL)
    writer.join()
    last = 40
    while heard.poll():
        try:
            last = heard.recv()
        except EOFError:
            break
    write(tmp_path / "t.csv", replace(ROW, batch=10**7))
    batches = [row.batch for row in read_rows(tmp_path / "t.csv")]
    assert batches[:last] == list(range(1, last + 1)) and batches[-1] == 10**7
