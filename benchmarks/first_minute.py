"""What a newcomer waits for: `python train.py` on the embedded digits, from the command to the closing table.

    python -m benchmarks.first_minute [--seeds 5] [KEY=VALUE ...]

Every run has another seed and empty caches; the split is the same. Promised: under 30 s of wall-clock time in the
median, and a mean test accuracy of at least 98.5 %, on 2 cores. Exits with 1 where a promise is not kept.
"""

import argparse
import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median, stdev

from benchmarks.measure import Measured, Watch, measure
from benchmarks.tools import PROJECT

MOST_S = 30.0
LEAST_ACCURACY = 0.985


@dataclass(frozen=True)
class FirstRun:
    """One training on the digits."""

    measured: Measured
    accuracy: float  # on the test split

    def __str__(self) -> str:
        whole = self.measured.whole
        return f"{whole.wall_s:5.1f} s, {whole.cpu_s:5.1f} CPU-s, test accuracy {self.accuracy:.2%}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--threads", type=int, help="of torch; default: torch's choice")
    parser.add_argument("overrides", nargs="*", help="handed to train.py")
    asked = parser.parse_args()
    runs = []
    for seed in range(asked.seeds):
        runs.append(first_run(seed, asked.overrides, asked.threads))
        print(f"seed {seed}: {runs[-1]}", flush=True)
    print(told(runs))
    sys.exit(0 if kept(runs) else 1)


def first_run(seed: int, overrides: list[str], threads: int | None) -> FirstRun:
    with tempfile.TemporaryDirectory(prefix="first_minute_") as place:
        output = Path(place)
        command = [
            sys.executable,
            "train.py",
            f"seed={seed}",
            f"logs={output}",
            f"datamodule.cache_dir={output / 'cache'}",
        ]
        limits = {"OMP_NUM_THREADS": str(threads)} if threads else {}
        watch = Watch(output, "*/*/metrics.csv", "val/accuracy")
        measured = measure([*command, *overrides], watch, output / "log.txt", PROJECT, limits)
        manifest = json.loads(next(output.glob("*/*/model.json")).read_text())
        return FirstRun(measured, manifest["metrics"]["test/accuracy"])


def told(runs: list[FirstRun]) -> str:
    """Median time and mean accuracy beside what is promised."""
    accuracies = [run.accuracy for run in runs]
    spread = f" ± {stdev(accuracies):.2%}" if len(runs) > 1 else ""
    return (
        f"median {wall_s(runs):.1f} s (promised: under {MOST_S:.0f} s), "
        f"mean test accuracy {mean(accuracies):.2%}{spread} (promised: at least {LEAST_ACCURACY:.1%}): "
        f"{'kept' if kept(runs) else 'NOT kept'}"
    )


def wall_s(runs: list[FirstRun]) -> float:
    return median(run.measured.whole.wall_s for run in runs)


def kept(runs: list[FirstRun]) -> bool:
    return wall_s(runs) < MOST_S and mean(run.accuracy for run in runs) >= LEAST_ACCURACY


if __name__ == "__main__":
    main()
