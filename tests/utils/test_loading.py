"""Loading without garbage collection, and the end of a process that has loaded so."""

import gc
import os
import subprocess
import sys
from contextlib import redirect_stdout

import pytest

from tests.conftest import ROOT
from utils.loading import loading

LEAVING = """
import atexit, sys, threading, time
from utils.loading import leave

def late():
    time.sleep(0.2)
    print("a thread's last word")

class Kept:
    def __init__(self):
        self.me = self
    def __del__(self):
        print("freed")

kept = Kept()
atexit.register(print, "as Python's own end does")
threading.Thread(target=late).start()
print("to the terminal", end=" ")
print("to those who look for errors", end=" ", file=sys.stderr)
leave(3)
"""


SIGNAL = """
import sys
from utils.loading import loading
with loading():
    import torchmetrics.functional.audio
print("scipy.stats" in sys.modules)
import scipy
from scipy.signal.windows import hann
from scipy.signal import find_peaks, windows
print(find_peaks([0, 1, 0])[0].tolist(), windows is scipy.signal.windows, windows.hann is hann)
print(scipy.signal is sys.modules["scipy.signal"], round(float(scipy.signal.hamming(3)[0]), 2))
"""


@pytest.fixture
def collector():
    """As it was afterwards."""
    yield
    gc.unfreeze()


def test_nothing_is_collected_while_packages_load_and_what_they_made_is_left_alone(collector, monkeypatch):
    monkeypatch.delitem(sys.modules, "this", raising=False)
    before = gc.get_freeze_count()
    with loading(), redirect_stdout(None):
        assert not gc.isenabled()
        import this  # noqa: F401
    assert gc.isenabled() and gc.get_freeze_count() > before


def test_what_is_loaded_already_keeps_no_garbage(collector):
    before = gc.get_freeze_count()
    with loading():
        import gc as again  # noqa: F401
    assert gc.isenabled() and gc.get_freeze_count() == before


def test_an_import_that_fails_leaves_the_collector_running(collector):
    with pytest.raises(ModuleNotFoundError), loading():
        import nowhere.to_be_found  # noqa: F401
    assert gc.isenabled()


def test_what_torchmetrics_alone_asks_for_is_loaded_when_it_is_used():
    ended = subprocess.run([sys.executable, "-c", SIGNAL], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert ended.stdout.splitlines() == ["False", "[1] True True", "True 0.08"], ended.stderr


def test_a_process_leaves_with_all_said_and_done_but_frees_nothing():
    ended = subprocess.run([sys.executable, "-c", LEAVING], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 3
    assert ended.stdout == "to the terminal a thread's last word\nas Python's own end does\n"
    assert ended.stderr == "to those who look for errors "


def test_a_process_whose_reader_has_gone_leaves_without_a_word():
    program = "import sys; from utils.loading import leave; sys.stdin.read(); print('to nobody', end=''); leave(0)"
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    buffered = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, env=buffered, **streams) as process:
        process.stdout.close()
        process.stdin.close()
        assert process.stderr.read() == b"" and process.wait(60) == 1


def test_a_profile_is_still_written(tmp_path):
    program, profile = tmp_path / "program.py", tmp_path / "profile"
    program.write_text("from utils.loading import leave; leave(3)")
    line = [sys.executable, "-m", "cProfile", "-o", str(profile), str(program)]
    subprocess.run(line, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, timeout=60, check=False)
    assert profile.exists()


@pytest.mark.parametrize(
    ("end", "status", "said"),
    [
        ("pass", 0, ""),
        ("sys.exit()", 0, ""),
        ("sys.exit(3)", 3, ""),
        ("sys.exit('it is too large')", 1, "it is too large"),
        ("raise KeyError('key')", 1, "KeyError: 'key'"),
        ("raise KeyboardInterrupt", 130, ""),
    ],
)
def test_however_its_work_ends_a_process_has_the_status_that_python_gives(end, status, said):
    program = f"import sys\nfrom utils.loading import whole\ndef work():\n    {end}\nwhole(work)"
    ended = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ended.returncode == status and (ended.stderr.strip().splitlines() or [""])[-1] == said
