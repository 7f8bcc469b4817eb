"""Facts of the machine and the versions, kept with each run so that a difference can be named later."""

import functools
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

PACKAGES = ("torch", "torchvision", "pytorch-lightning", "torchmetrics", "timm", "numpy", "pillow", "simplejpeg")


def environment() -> dict[str, Any]:
    """What a rerun must have in common to give the same bits."""
    return {"threads": torch.get_num_threads(), **_of_this_process()}


@functools.cache
def _of_this_process() -> dict[str, Any]:
    return {
        "instruction_set": torch.backends.cpu.get_cpu_capability(),
        "processor": _processor(),
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
        "commit": _commit(),
    }


def _processor() -> str:
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _commit() -> str:
    """The checkout's commit, with `+changes` when files differ from it; empty outside a checkout."""
    root = Path(__file__).parent.parent
    try:
        head = subprocess.run(["git", "-C", root, "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
        changed = subprocess.run(
            ["git", "-C", root, "status", "--porcelain", "-uno"], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return ""
    return head.stdout.strip() + ("+changes" if changed.stdout.strip() else "") if head.returncode == 0 else ""
