"""What this machine can compute with, without asking torch."""

import os
import platform
from functools import cache
from pathlib import Path

from datamodule.parallel import cores

CPUINFO = Path("/proc/cpuinfo")
TELLING = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_bf16", "amx_int8", "asimddp", "bf16")


@cache
def _cpuinfo() -> dict[str, str]:
    if not CPUINFO.is_file():
        return {}
    lines = (line.partition(":") for line in CPUINFO.read_text().split("\n\n")[0].splitlines())
    return {key.strip(): value.strip() for key, _, value in lines}


def cpu_name() -> str:
    return _cpuinfo().get("model name") or platform.processor() or platform.machine()


@cache
def cpu_flags() -> tuple[str, ...]:
    """Those instruction sets that decide how fast a network runs."""
    flags = (_cpuinfo().get("flags") or _cpuinfo().get("Features") or "").split()
    return tuple(flag for flag in TELLING if flag in flags)


def has_bf16() -> bool:
    """Whether bfloat16 is multiplied in hardware, so that it pays."""
    return bool({"avx512_bf16", "amx_bf16", "bf16"} & set(cpu_flags())) or platform.machine() == "arm64"


def is_confined() -> bool:
    """Whether it may use fewer than there are, as under taskset or in a container with its own cores."""
    return cores() < (os.cpu_count() or 1)


def has_nvidia() -> bool:
    """Whether the driver of an NVIDIA GPU is there."""
    return Path("/proc/driver/nvidia/version").exists()
