"""Whether the model that a search under a latency limit chooses keeps the limit when it is measured again.

    python -m benchmarks.model_search results/all_models.csv --limits 10 --repeats 4

TABLE: what `python benchmark.py --max-params 100 --off-tensorrt` wrote on this machine; no row is added. Limits are
drawn evenly in the logarithm of its latencies. Each choice is measured in as many fresh processes; printed is the share
that kept the limit, of the search as it is, and of one that believes the table (limits.repeats=0), in turns.
"""

import argparse
import math
import random
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from tuning.benchmark_command import Found, chosen_of, measured
from tuning.benchmark_settings import BenchmarkSettings
from tuning.benchmarking import measured_once
from tuning.limits import Limits
from utils.build import settings
from utils.configuration import option

SLOWEST_MS = 300.0  # of a limit: what is slower takes long to measure


def main() -> None:
    asked = arguments()
    with tempfile.TemporaryDirectory() as folder:
        file = shutil.copy(asked.table, Path(folder) / "table.csv")
        node = option("benchmark", "default") | {"file": str(file), "off_tensorrt": True, "max_params": 100.0}
        (found,) = measured(settings(BenchmarkSettings, node, "benchmark."), Limits(measure=False))
        report(found, limits_of(found, asked.limits, asked.seed), asked.repeats, Path(file))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    parser.add_argument("--limits", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def limits_of(found: Found, count: int, seed: int) -> list[Limits]:
    known = [one.row.p95_ms for one in found.rows if one.row.p95_ms is not None and one.top1 is not None]
    draw, low, high = random.Random(seed), math.log(min(known)), math.log(min(max(known), SLOWEST_MS))
    return [Limits(latency_ms=float(f"{math.exp(draw.uniform(low, high)):.3g}")) for _ in range(count)]


def report(found: Found, limits: list[Limits], repeats: int, file: Path) -> None:
    """A line a limit and a kind of search, then the shares."""
    shares: dict[str, list[float]] = {"measured again": [], "table believed": []}
    for one in limits:
        for kind, rules in (("measured again", one), ("table believed", replace(one, repeats=0))):
            best = chosen_of(found, rules, None, file).chosen
            if best is None:
                print(f"{one.latency_ms:g} ms, {kind}: none", flush=True)
                continue
            again = [measured_once(found.plan, best.row.key).p95_ms or math.inf for _ in range(repeats)]
            shares[kind].append(sum(value <= (one.latency_ms or 0) for value in again) / repeats)
            told = " ".join(f"{value:.4g}" for value in again)
            print(f"{one.latency_ms:g} ms, {kind}: {best.row.model}, {best.top1} %, p95 {told}", flush=True)
    for kind, kept in shares.items():
        if kept:
            share = 100 * sum(kept) / len(kept)
            print(f"{kind}: {share:.1f} % of {repeats * len(kept)} kept the limit (promised: 95 %)")


if __name__ == "__main__":
    main()
