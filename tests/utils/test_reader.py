"""What becomes of a process whose standard output nobody reads any more."""

import signal
import subprocess
import sys

import pytest

from tests.conftest import ROOT

PROGRAM = """
import logging, signal, sys
from utils.loading import leave
from utils.reader import end_with_the_reader
from utils.log import to_terminal

end_with_the_reader()
to_terminal()
sys.stdin.read()
{answer}
{say}
leave(0)
"""
ANSWER = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))"
PRINT, LOG = "print('to nobody')", "logging.getLogger('tuning').info('to nobody')"


@pytest.mark.parametrize(
    ("say", "answer", "status"),
    [
        (PRINT, "", -signal.SIGTERM),
        (PRINT, ANSWER, 5),
        (LOG, "", -signal.SIGTERM),
        (LOG, ANSWER, 5),
        ("print('to nobody', end='')", "", -signal.SIGTERM),  # which leaves the process at its end
    ],
)
def test_it_ends_without_a_word_as_by_sigterm(say, answer, status):
    program = PROGRAM.format(answer=answer, say=say)
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, **streams) as process:
        process.stdout.close()
        process.stdin.close()
        assert process.stderr.read() == b"" and process.wait(60) == status


def test_nothing_is_amiss_where_standard_output_was_closed_before():
    program = PROGRAM.format(answer="", say=PRINT)
    line = [sys.executable, "-c", program]
    done = subprocess.run(["sh", "-c", '"$@" >&-', "sh", *line], cwd=ROOT, stdin=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, timeout=60)  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")


def test_what_is_read_arrives():
    program = "from utils.reader import end_with_the_reader; end_with_the_reader(); print('größer', flush=True)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, timeout=60)
    assert done.stdout.decode() == "größer\n" and done.returncode == 0
