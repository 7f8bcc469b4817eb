"""How much memory a process may still take."""

import resource
from pathlib import Path

import psutil

BELOW = Path("/sys/fs/cgroup")
CGROUPS = (  # version 2, version 1: limit, use, statistics
    (BELOW / "memory.max", BELOW / "memory.current", BELOW / "memory.stat"),
    (
        BELOW / "memory" / "memory.limit_in_bytes",
        BELOW / "memory" / "memory.usage_in_bytes",
        BELOW / "memory" / "memory.stat",
    ),
)


def free_memory() -> int:
    """Bytes of RAM still to be had: the machine's, the container's and the process's own limit, whichever is least."""
    return max(0, min([psutil.virtual_memory().available, *_container(), *_process()]))


def _container() -> list[int]:
    """What its limit leaves; cached files that the kernel may drop count as free."""
    return [
        int(limit.read_text()) - int(use.read_text()) + _droppable(statistics)
        for limit, use, statistics in CGROUPS
        if limit.exists() and limit.read_text().strip().isdigit()
    ]


def _droppable(statistics: Path) -> int:
    lines = (line.split() for line in statistics.read_text().splitlines())
    return next((int(value) for name, value in lines if name == "inactive_file"), 0)


def _process() -> list[int]:
    used = psutil.Process().memory_info()
    soft = {kind: resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA)}
    taken = {resource.RLIMIT_AS: used.vms, resource.RLIMIT_DATA: getattr(used, "data", used.rss)}
    return [limit - taken[kind] for kind, limit in soft.items() if limit != resource.RLIM_INFINITY]
