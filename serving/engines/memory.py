"""Peak memory of an engine at work: in a process of its own, since what another left behind does not count.

python -m serving.engines.memory FOLDER '{"engine": "serving.engines.eager.Eager", "settings": {}, "batch": 1}' [PARENT]
"""

import importlib
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

from serving.engines.cache import prepared
from serving.engines.engine import Maker
from serving.engines.source import Source, source_of
from utils.lifetime import die_with

TIME_LIMIT_S = 300
STATUS = Path("/proc/self/status")
ROOT = Path(__file__).parent.parent.parent


def peak_mib(maker: Maker, source: Source, batch: int) -> float | None:
    """Resident memory at its highest, with the engine's own libraries; None where the process crashed or hung."""
    kind = type(maker)
    job = {"engine": f"{kind.__module__}.{kind.__qualname__}", "settings": maker.settings(), "batch": batch}
    asked = [str(source.folder.absolute()), json.dumps(job), str(os.getpid())]
    line = [sys.executable, "-m", "serving.engines.memory", *asked]
    try:
        done = subprocess.run(line, capture_output=True, text=True, timeout=TIME_LIMIT_S, cwd=ROOT, check=True)
    except (subprocess.TimeoutExpired, subprocess.CalledProcessError):
        return None
    return float(done.stdout.splitlines()[-1])


def main() -> None:
    """Loads what was converted before, answers a few batches, says what that took."""
    if len(sys.argv) > 3:
        die_with(int(sys.argv[3]))  # whoever waits for the figure
    folder, job = Path(sys.argv[1]), json.loads(sys.argv[2])
    module, _, name = job["engine"].rpartition(".")
    source = source_of(folder)
    engine = prepared(getattr(importlib.import_module(module), name)(**job["settings"]), source)
    pixels = source.example(job["batch"])
    for _ in range(3):
        engine(pixels)
    print(peak_of_this_process_mib())


def peak_of_this_process_mib() -> float:
    """Resident, since the process was started or told to forget it (Linux: 5 into /proc/self/clear_refs).

    getrusage alone would count what the process that started this one held, too.
    """
    if STATUS.exists():
        line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / (2**20 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    main()
