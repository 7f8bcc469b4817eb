"""Searching: how many trials a minute, and how good what is found, against Ray Tune as it comes and plain Optuna.

    python -m benchmarks.tuning speed [--trials 16] [--epochs 4]    four whole commands in turn, in three rounds
    python -m benchmarks.tuning quality [--seeds 12] [--epochs 432] on a table of networks, equal epochs for all

speed: on the digits, the same small network, searcher, scheduler and space for all; a command's time is all of it,
imports and Ray's start included. Promised: 4.5 times the trials per minute of Ray Tune's default set-up, and 10 times
with tune.backend=local, with as many trials side by side as the others have (tune.at_once); alone in one process it is
shown, too. quality: promised is a mean best validation loss not above plain Optuna's TPE with Hyperband,
below Ray's OptunaSearch with ASHA, and below random search. Exits with 1 where a promise is not kept.
"""

import argparse
import csv
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

import psutil

from benchmarks.tools import PROJECT

RAY_TIMES, LOCAL_TIMES = 4.5, 10.0
NETWORK = ["models.blocks=1", "models.dense_width=32"]  # of 8 x 8 pixels: what is measured is all that is around it
FAST_SPACE = [
    '"optimizers.lr=tag(log, interval(1e-4, 1e-2))"', '"optimizers.weight_decay=tag(log, interval(5e-3, 0.5))"',
    '"datamodule.batch_size=choice(32,64,128)"', '"models.num_filters=choice(4,8,16)"',
    '"models.dropout=interval(0.0, 0.5)"',
]  # fmt: skip
MOST_TRIALS = 10_000
CORES = len(psutil.Process().cpu_affinity())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    actions = parser.add_subparsers(dest="action", required=True)
    fast = actions.add_parser("speed")
    fast.add_argument("--trials", type=int, default=16)
    fast.add_argument("--epochs", type=int, default=4)
    fast.add_argument("--repeats", type=int, default=3)
    good = actions.add_parser("quality")
    good.add_argument("--seeds", type=int, default=12)
    good.add_argument("--first", type=int, default=0, help="the first seed")
    good.add_argument("--epochs", type=int, default=432, help="that each search may train in all")
    asked = parser.parse_args()
    if asked.action == "speed":
        kept = speed(asked.trials, asked.epochs, asked.repeats)
    else:
        kept = quality(range(asked.first, asked.first + asked.seeds), asked.epochs)
    sys.exit(0 if kept else 1)


def speed(trials: int, epochs: int, repeats: int) -> bool:
    """Prints trials per minute of all four, and the ratios, by the medians of so many rounds."""
    rounds = [_round(trials, epochs) for _ in range(repeats)]
    taken = {
        name: (median(one[name][0] for one in rounds), median(one[name][1] for one in rounds)) for name in rounds[0]
    }
    for name, (wall, cpu) in taken.items():
        print(f"{name:20} {trials / wall * 60:7.1f} trials/min  {wall:7.1f} s  {cpu:7.1f} CPU-s")
    return _told(taken, 0, "wall") & _told(taken, 1, "CPU")


def _round(trials: int, epochs: int) -> dict[str, tuple[float, float]]:
    """Wall and CPU-seconds of each, one after the other."""
    with tempfile.TemporaryDirectory(prefix="tuning_") as place:
        cache, logs = f"datamodule.cache_dir={place}/cache", f"logs={place}/logs"
        own = [sys.executable, "train.py", "trainer.tune=True", "tune.final=false", f"tune.trials={trials}",
               f"tune.space=[{','.join(FAST_SPACE)}]", f"trainer.max_epochs={epochs}", *NETWORK, cache,
               logs]  # fmt: skip
        base = [cache, logs, *NETWORK, f"trainer.max_epochs={epochs}", "trainer.speed=fp32", "trainer.threads=1",
                "trainer.progress=false", "logger=default", "logger.tensorboard=null"]  # fmt: skip
        peer = [sys.executable, "-m", "benchmarks.tuning_peers", str(trials), str(epochs), *base]
        taken = {
            "local, side by side": timed([*own, "tune.backend=local", f"tune.at_once={CORES}", "run_name=beside"]),
            "tune.backend=ray": timed([*own, "tune.backend=ray", "run_name=ray"]),
            "Ray Tune's defaults": timed(peer),
            "local, one by one": timed([*own, "tune.backend=local", "run_name=local"]),
        }
        counted = {name: _epochs(Path(place) / "logs" / "default" / name) for name in ("beside", "ray", "local")}
    print(f"epochs: {counted}")
    return taken


def _told(taken: dict[str, tuple[float, float]], which: int, unit: str) -> bool:
    beside, ray, peer, alone = (seconds[which] for seconds in taken.values())
    print(
        f"times Ray Tune's defaults ({unit}): ray {peer / ray:.1f}, local {peer / beside:.1f} side by side, "
        f"{peer / alone:.1f} one by one"
    )
    return peer / ray >= RAY_TIMES and peer / beside >= LOCAL_TIMES


def _epochs(run: Path) -> int:
    with (run / "tune" / "trials.csv").open(newline="") as file:
        return sum(int(row["epochs"]) for row in csv.DictReader(file))


def timed(command: list[str]) -> tuple[float, float]:
    """Wall and CPU-seconds of a command and all processes below it, looked at until it ends."""
    limits = os.environ | {"OMP_NUM_THREADS": "1", "RAY_AUTH_MODE": "disabled", "PYTHONWARNINGS": "ignore",
                           "RAY_ADDRESS": "local"}  # fmt: skip
    started, seen = time.monotonic(), dict[tuple[int, float], float]()
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command, cwd=PROJECT, env=limits, stdout=output, stderr=subprocess.STDOUT)
        while process.poll() is None:
            _look(process.pid, seen)
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.3)
        wall = time.monotonic() - started
        output.seek(0)
        told = output.read()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}:\n{told[-3000:]}")
    cpu = sum(seen.values())
    print(f"{told.rstrip().splitlines()[-1]} ({wall:.1f} s, {cpu:.1f} CPU-s)", flush=True)
    return wall, cpu


def _look(pid: int, seen: dict[tuple[int, float], float]) -> None:
    """Notes what each process of the tree has used so far."""
    try:
        root = psutil.Process(pid)
        tree = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    for one in tree:
        try:
            used = one.cpu_times()
            seen[one.pid, one.create_time()] = used.user + used.system
        except psutil.NoSuchProcess:
            continue


def quality(seeds: range, budget: int) -> bool:
    """Prints the mean best validation loss of each searcher over the seeds."""
    from benchmarks.tuning_peers import chance, plain_optuna, ray_default
    from benchmarks.tuning_table import table

    table()
    logging.disable(logging.WARNING)  # a peer tells of each search that has used up its epochs
    searches: dict[str, Callable[[Any, int], None]] = {
        "this project": this_project,
        "Optuna, TPE and Hyperband": plain_optuna,
        "Ray, OptunaSearch and ASHA": ray_default,
        "random search": chance,
    }
    found = {name: [best_of(search, seed, budget) for seed in seeds] for name, search in searches.items()}
    for name, losses in found.items():
        print(f"{name:28} {mean(losses):.4f} ± {stdev(losses) / len(seeds) ** 0.5:.4f}  (worst {max(losses):.4f})")
    own, optuna, ray, random = (mean(losses) for losses in found.values())
    print(
        f"of plain Optuna's loss: {own / optuna:.3f}; of Ray's: {own / ray:.3f}; of random search's: {own / random:.3f}"
    )
    return own <= optuna and own < ray and own < random


def best_of(search: Callable[[Any, int], None], seed: int, budget: int) -> float:
    """The least loss that a search sees within its epochs."""
    from benchmarks.tuning_peers import UsedUp
    from benchmarks.tuning_table import Values, curve

    seen: list[float] = []

    def evaluate(values: Values) -> Iterator[tuple[int, float]]:
        for epoch, cost in enumerate(curve(values).tolist(), 1):
            if len(seen) >= budget:
                raise UsedUp
            seen.append(cost)
            yield epoch, cost

    search(evaluate, seed)
    return min(seen)


def this_project(evaluate: Any, seed: int) -> None:
    """The study that both backends run, asked and told as they do it."""
    from benchmarks.tuning_peers import UsedUp
    from benchmarks.tuning_table import EPOCHS, SPACE, Values
    from tuning.orders import Ending
    from tuning.problem import Problem
    from tuning.study import Study
    from utils.configuration import composed

    given = [f"tune.trials={MOST_TRIALS}", f"trainer.max_epochs={EPOCHS}", f"seed={seed}", "datamodule.batch_size=7"]
    config = composed(given) | {"tune": composed(given)["tune"] | {"space": SPACE}}
    problem = Problem(config, {}, lambda overrides: composed(given, overrides))
    with tempfile.TemporaryDirectory() as place:
        study = Study(problem, Path(place))
        try:
            while (order := study.next()) is not None:
                whole = order.config
                values = Values(
                    whole["optimizers"]["lr"],
                    whole["optimizers"]["weight_decay"],
                    whole["models"]["dropout"],
                    whole["datamodule"]["batch_size"],
                    whole["models"]["dense_width"],
                )
                goes_on = (study.report(order.number, epoch, {"val/loss": cost}) for epoch, cost in evaluate(values))
                study.end(order.number, Ending(stopped=not all(goes_on)))
        except UsedUp:
            return


if __name__ == "__main__":
    main()
