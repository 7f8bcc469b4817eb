"""Where and how a table of speeds was measured: a JSON beside the CSV, checked when another machine uses the table."""

import json
import os
import platform
import shlex
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from datamodule.parallel import cores
from serving.engines.machine import cpu_flags, cpu_name
from tuning.jobs import Chosen, Machine
from tuning.speed_table import VERSION, Row
from utils.files import write_whole

Stamp = dict[str, Any]
GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
SAME = ("machine", "versions")  # what makes two stamps the same one
SHOWN = 3


def stamped(machine: Machine, threads: int, engines: Sequence[Chosen]) -> Stamp:
    """Of this machine, now."""
    return {
        "machine": machine.kind, "versions": sorted({one.versions for one in engines}), "threads": threads,
        "python": platform.python_version(), "system": platform.platform(), "cpu": cpu_name(),
        "cpu_flags": list(cpu_flags()), "cores": cores(), "governor": governor(),
        "memory_mib": psutil.virtual_memory().total // 2**20, "load": [round(one, 2) for one in os.getloadavg()],
        "begun": now(), "ended": None, "command": shlex.join(["python", *sys.orig_argv[1:]]),
    }  # fmt: skip


def governor() -> str | None:
    """Of the CPU's frequency; None where it is not told, as in most virtual machines."""
    try:
        return GOVERNOR.read_text().strip()
    except OSError:
        return None


def now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"


def stamp_file(table: Path) -> Path:
    return table.with_suffix(".json")


def read_stamps(table: Path) -> list[Stamp]:
    """Those beside a table; none where the file is not there. Raises ValueError where it is no such file."""
    file = stamp_file(table)
    if not file.is_file():
        return []
    try:
        return list(json.loads(file.read_text())["measured"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{file} is no stamp of {table.name} ({type(error).__name__}): move it away, or name another benchmark.file"
        ) from error


def write_stamp(table: Path, stamp: Stamp) -> None:
    """Adds it; one of the same machine and versions is superseded, but for its beginning."""
    others = [one for one in read_stamps(table) if not _is_same(one, stamp)]
    former = [one for one in read_stamps(table) if _is_same(one, stamp)]
    begun = min(one["begun"] for one in [*former, stamp])
    content = {"table": table.name, "version": VERSION, "measured": [*others, stamp | {"begun": begun}]}
    write_whole(stamp_file(table), json.dumps(content, indent=1) + "\n")


def _is_same(one: Stamp, other: Stamp) -> bool:
    return all(one[key] == other[key] for key in SAME)


def foreign(rows: Iterable[Row], machine: Machine) -> str | None:
    """In words what a table is of, where none of its rows is of this machine and these versions; else None."""
    rows = list(rows)
    here = [row for row in rows if row.machine == machine.kind]
    if not rows or any(row.versions.startswith(machine.versions) for row in here):
        return None
    if here:
        return f"this table is of other versions: {_listed(row.versions for row in here)}; here is {machine.versions}"
    return f"this table is of another machine: {_listed(row.machine for row in rows)}; this one is {machine.kind}"


def differing_governor(table: Path, stamp: Stamp) -> str | None:
    """In words, where the same machine was measured at another setting of its clock."""
    for one in read_stamps(table):
        if _is_same(one, stamp) and one.get("governor") != stamp["governor"]:
            return f"its rows were measured with the CPU governor {one.get('governor')}, now it is {stamp['governor']}"
    return None


def _listed(words: Iterable[str]) -> str:
    every = list(dict.fromkeys(words))
    return "; ".join(every[:SHOWN]) + (f" and {len(every) - SHOWN} more" if len(every) > SHOWN else "")
