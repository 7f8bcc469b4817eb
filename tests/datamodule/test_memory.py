import resource
import subprocess
import sys
from pathlib import Path

import psutil

from datamodule import memory
from datamodule.memory import free_memory

ROOT = Path(__file__).parents[2]


def test_no_more_is_free_than_the_machine_has():
    assert 0 < free_memory() <= psutil.virtual_memory().total


def test_a_containers_limit_counts(tmp_path, monkeypatch):
    limit, use, state = tmp_path / "max", tmp_path / "current", tmp_path / "stat"
    use.write_text("3000000\n")
    state.write_text("anon 5\ninactive_file 1000000\n")
    monkeypatch.setattr(memory, "CGROUPS", ((limit, use, state),))
    limit.write_text("max\n")
    assert free_memory() > 8_000_000
    limit.write_text("10000000\n")
    assert free_memory() == 8_000_000


def test_the_processs_own_limit_counts():
    code = (
        "import resource; from datamodule.memory import free_memory; "
        f"resource.setrlimit(resource.RLIMIT_AS, ({2**31}, {resource.RLIM_INFINITY})); print(free_memory())"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert 2**29 < int(done.stdout) < 2**31
