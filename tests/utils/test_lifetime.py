"""A process ends with the one that started it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).parent.parent.parent
CHILD = "import os, time; from utils.lifetime import die_with; die_with({parent}); {then}"
SLEEPS = "print(os.getpid(), flush=True); time.sleep(300)"
STARTS = f"[sys.executable, '-c', {CHILD!r}.format(parent=os.getpid(), then={SLEEPS!r})]"
PARENT = f"import os, subprocess, sys; subprocess.run({STARTS})"


def test_it_is_killed_when_its_parent_is():
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    child = psutil.Process(int(parent.stdout.readline()))
    os.kill(parent.pid, signal.SIGKILL)
    parent.communicate()
    until = time.monotonic() + 30
    while child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < until
        time.sleep(0.02)


def test_it_ends_at_once_where_its_parent_is_another_than_was_told():
    orphan = CHILD.format(parent=os.getpid() + 1, then="print('still here')")
    seen = subprocess.run([sys.executable, "-c", orphan], capture_output=True, text=True, cwd=ROOT)
    assert (seen.returncode, seen.stdout) == (1, "")
