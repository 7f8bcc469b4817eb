"""A benchmark on a real Ray cluster of two nodes, which are two kinds of machines: one of them has a core less."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from datamodule.parallel import cores
from tuning.speed_table import read_rows

RAY = str(Path(sys.executable).parent / "ray")
PORT = 26479
SMALL = "benchmark.models=[test_vit,test_resnet]"


@pytest.fixture
def places(tmp_path):
    return ()


def started(*options: str, core: str | None = None) -> list[psutil.Process]:
    """The processes of a node that `ray start` leaves behind. core: the only one that they may use."""
    before = set(psutil.pids())
    line = [RAY, "start", "--disable-usage-stats", "--object-store-memory=80000000", *options]
    pinned = ["taskset", "-c", core] if core else []
    subprocess.run([*pinned, *line], check=True, capture_output=True, timeout=180)
    return [one for one in psutil.process_iter() if one.pid not in before and "ray" in " ".join(one.cmdline())]


@pytest.fixture
def nodes(monkeypatch):
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    both = [started("--head", f"--port={PORT}", "--num-cpus=1", "--include-dashboard=false")]
    try:
        both.append(started(f"--address=127.0.0.1:{PORT}", "--num-cpus=1", core="0"))
        yield both
    finally:
        for one in (process for node in both for process in node if process.is_running()):
            one.kill()


@pytest.mark.soak
@pytest.mark.skipif(cores() < 2, reason="needs two cores")
def test_each_kind_of_machine_has_its_own_row_of_each_model(nodes, command, tmp_path):
    line = (SMALL, "ray=True", "--engines", "eager", f"benchmark.file={tmp_path / 't.csv'}", "limits.latency_ms=100000",
            "benchmark.published=null")  # fmt: skip
    environment = {"RAY_ADDRESS": f"127.0.0.1:{PORT}", "RAY_AUTH_MODE": "disabled", "PYTHONPATH": str(Path.cwd())}
    done = command("benchmark.py", *line, **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = read_rows(tmp_path / "t.csv")
    kinds = {row.machine for row in rows}
    assert {kind.rpartition(", ")[2] for kind in kinds} == {"1 thread", f"{cores()} threads"}
    assert sorted((row.model, row.machine) for row in rows) == sorted(
        (model, kind) for model in ("test_vit", "test_resnet") for kind in kinds
    )
    assert all(row.works for row in rows) and done.stdout.count("keep all limits (2 measured)") == 2
    again = command("benchmark.py", *line, **environment)
    assert "missing" not in again.stdout and read_rows(tmp_path / "t.csv") == rows


@pytest.mark.soak
def test_without_a_cluster_the_machine_itself_is_the_one(command, tmp_path):
    done = command(
        "benchmark.py", SMALL, "ray=True", "--engines", "eager", f"benchmark.file={tmp_path / 't.csv'}",
        "benchmark.threads=1", RAY_AUTH_MODE="disabled",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert [row.works for row in read_rows(tmp_path / "t.csv")] == [True, True]


def test_a_cluster_that_does_not_answer_is_named(command, tmp_path):
    done = command("benchmark.py", SMALL, "ray=True", f"benchmark.file={tmp_path / 't.csv'}", RAY_ADDRESS="127.0.0.1:9")
    assert done.returncode == 2 and "RAY_ADDRESS=127.0.0.1:9: no Ray cluster answers there" in done.stderr
