"""Work in a process of its own: it gets no token, lets what is live go first, and ends with the server that asked."""

import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress

from serving.package import BadCandidate
from serving.tokens import without_tokens
from serving.version import ROOT
from utils.lifetime import die_with


def ask(module: str, arguments: Sequence[str], seconds: float) -> None:
    """Runs a module that starts with `begin`. Raises BadCandidate with its last line where it fails or is late."""
    line = [sys.executable, "-m", module, str(os.getpid()), *arguments]
    try:
        done = subprocess.run(line, cwd=ROOT, env=without_tokens(), capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        raise BadCandidate(f"it did not answer within {seconds:g} s") from None
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()
        raise BadCandidate(said[-1][:500] if said else f"its process ended with status {done.returncode}")


def begin() -> list[str]:
    """In the child, first of all; its arguments."""
    _, parent, *arguments = sys.argv
    die_with(int(parent))
    with suppress(OSError):
        os.nice(5)
    return arguments
