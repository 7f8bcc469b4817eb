"""How far a benchmark is, on a terminal and without one."""

import os
import pty
import re
import select
from contextlib import redirect_stdout

from tuning.benchmark_progress import tracked
from tuning.jobs import Job

MODELS = [
    [Job(name, 64, 48, 1, "eager", "fp32", {}, "versions", 1, "cpu", "machine")] for name in ("resnet18", "vit_tiny")
]


def drawn(models, monkeypatch):
    """What a terminal shows of them."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    master, slave = pty.openpty()
    with os.fdopen(slave, "w", buffering=1) as terminal, redirect_stdout(terminal):
        assert [own[0].model for own in tracked(iter(models), len(models))] == ["resnet18", "vit_tiny"]
        found = b""
        while select.select([master], [], [], 1.0)[0]:
            found += os.read(master, 65536)
    os.close(master)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", found.decode())


def test_on_a_terminal_a_bar_shows_the_model_how_many_and_the_time_left(monkeypatch):
    frames = [line.strip() for line in re.split(r"[\r\n]+", drawn(MODELS, monkeypatch)) if "/2" in line]
    assert any(frame.startswith("resnet18") and "0/2" in frame for frame in frames)
    assert any(frame.startswith("vit_tiny") and "1/2" in frame for frame in frames)
    assert "2/2" in frames[-1] and "left" in frames[-1] and "━" in frames[-1]


def test_without_a_terminal_each_model_is_a_line(capsys):
    assert len(list(tracked(iter(MODELS), 2))) == 2
    assert capsys.readouterr().out.splitlines() == ["1/2 resnet18 64x48", "2/2 vit_tiny 64x48"]


def test_nothing_to_do_draws_nothing(capsys):
    assert list(tracked([], 0)) == [] and capsys.readouterr().out == ""
