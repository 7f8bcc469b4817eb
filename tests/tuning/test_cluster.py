"""A search on a real cluster of two nodes, one of which dies."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tuning.ray_search import search
from tuning.study import Study

RAY = str(Path(sys.executable).parent / "ray")
PORT = 26379
LAST_CLUSTER = Path("/tmp/ray/ray_current_cluster")  # `ray start` leaves the address there


def started(*options: str) -> list[psutil.Process]:
    """The processes of a node that `ray start` leaves behind."""
    before = set(psutil.pids())
    quiet = {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
    line = [RAY, "start", "--num-cpus=1", "--include-dashboard=false", "--disable-usage-stats", *options]
    if "--head" not in options:
        line.remove("--include-dashboard=false")
    subprocess.run(line, check=True, capture_output=True, env=os.environ | quiet, timeout=120)
    return [one for one in psutil.process_iter() if one.pid not in before and "ray" in " ".join(one.cmdline())]


@pytest.fixture
def nodes(monkeypatch):
    """Two nodes of one core each: the processes of the head, and those of the other."""
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    both = [started("--head", f"--port={PORT}")]
    try:
        both.append(started(f"--address=127.0.0.1:{PORT}"))
        yield both
    finally:
        for one in (process for node in both for process in node if process.is_running()):
            one.kill()
        LAST_CLUSTER.unlink(missing_ok=True)  # else a `ray.init()` of anyone would wait for this cluster


@pytest.mark.soak
def test_a_search_outlives_a_node_of_its_cluster(nodes, problem, tmp_path):
    killed = []

    def watch(study):
        if len(study.ended) >= 1 and not killed:
            killed.extend(one.pid for one in nodes[1] if one.is_running())
            for pid in killed:
                os.kill(pid, signal.SIGKILL)

    given = (f"tune.address=127.0.0.1:{PORT}", "tune.trials=5", "tune.scheduler=none")
    study = Study(problem(*given), tmp_path / "tune", watch)
    search(study)
    assert killed
    assert [trial.state for trial in study.ended] == ["complete"] * 5
