import sys
from pathlib import Path

import pytest

from benchmarks.measure import ToolFailed, Usage, Watch, measure

EPOCHS = """
import pathlib, sys, time

def burn(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass

lines = "step,accuracy\\n"
for epoch, work in enumerate((0.9, 0.3, 0.3)):
    burn(work)
    lines += f"{epoch},\\n{epoch},0.{epoch + 1}\\n"
    pathlib.Path(sys.argv[1], "metrics.csv").write_text(lines)
time.sleep(0.2)
"""
IN_A_CHILD = """
import pathlib, subprocess, sys

burn = "import time\\nwhile time.process_time() < 0.3: pass"
for epoch in range(2):
    subprocess.run([sys.executable, "-c", burn], check=True)
    pathlib.Path(sys.argv[1], "metrics.csv").write_text("accuracy\\n" + "0.5\\n" * (epoch + 1))
"""


def run(script: str, folder: Path):
    command = [sys.executable, "-c", script, str(folder)]
    return measure(command, Watch(folder, "*.csv", "accuracy"), folder / "log.txt", folder, {})


def test_an_epoch_after_the_first_holds_none_of_the_first_ones_time(tmp_path):
    found = run(EPOCHS, tmp_path)
    assert found.values == [0.1, 0.2, 0.3]
    assert len(found.epochs) == 2
    assert 0.15 <= found.epoch.cpu_s <= 0.6
    assert found.whole.cpu_s >= 1.5


def test_the_cpu_time_of_child_processes_counts(tmp_path):
    found = run(IN_A_CHILD, tmp_path)
    assert found.epoch.cpu_s >= 0.25
    assert found.whole.cpu_s >= 0.6


def test_a_failing_command_is_told_with_the_end_of_its_output(tmp_path):
    with pytest.raises(ToolFailed, match="out of paper"):
        run("raise SystemExit('out of paper')", tmp_path)


def test_a_command_that_leaves_too_few_epochs_is_refused(tmp_path):
    with pytest.raises(ToolFailed, match="0 values of accuracy"):
        run("pass", tmp_path)


def test_usage_is_subtracted_part_by_part():
    assert Usage(3.0, 5.0) - Usage(1.0, 2.0) == Usage(2.0, 3.0)
