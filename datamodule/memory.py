"""How much memory a process may still take."""

import resource
from pathlib import Path

import psutil

CGROUPS = (  # version 2, version 1: limit and use
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)


def free_memory() -> int:
    """Bytes of RAM still to be had: the machine's, the container's and the process's own limit, whichever is least."""
    return max(0, min([psutil.virtual_memory().available, *_container(), *_process()]))


def _container() -> list[int]:
    return [
        int(Path(limit).read_text()) - int(Path(use).read_text())
        for limit, use in CGROUPS
        if Path(limit).exists() and Path(limit).read_text().strip().isdigit()
    ]


def _process() -> list[int]:
    used = psutil.Process().memory_info()
    soft = {kind: resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA)}
    taken = {resource.RLIMIT_AS: used.vms, resource.RLIMIT_DATA: used.rss}
    return [limit - taken[kind] for kind, limit in soft.items() if limit != resource.RLIM_INFINITY]
