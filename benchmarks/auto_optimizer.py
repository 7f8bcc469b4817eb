"""The automatic optimizer against training every candidate in full: how good its choice is, and at what cost.

    python -m benchmarks.auto_optimizer FOLDER --cifar data/cifar10 --sets digits cifar --seeds 0 1 2

Every training is one JSON in FOLDER, so it goes on where it stopped. A cell is a set, a network and a seed: in it
every arm (an optimizer at a rate) is trained in full, then the search is run as a user's would be, its trainings kept
as well. Costs are CPU-seconds of this process.
"""

import argparse
import hashlib
import json
import math
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

from hydra import compose, initialize_config_dir

from utils.build import build
from utils.configuration import plain
from utils.files import write_whole
from utils.overrides import CONFIGURATION

SETS = {
    "digits": ["datamodule=digits", "datamodule.test_share=0.4", "datamodule.val_share=0.15", "trainer.max_epochs=30"],
    "cifar": [
        "datamodule=csv", "datamodule/augment=small", "datamodule.val_share=0.15", "trainer.max_epochs=10",
    ],
}  # fmt: skip
NETWORKS = {
    "digits": {
        "simple_cnn": ["models.num_filters=16"],
        "test_efficientnet": ["models=timm", "models.architecture=test_efficientnet", "models.pretrained=false"],
        "shallow": ["models.num_filters=16", "models.blocks=1", "models.dropout=0.0"],
        "wide": ["models.num_filters=24", "models.blocks=2", "models.kernel_size=5"],
    },
    "cifar": {
        "simple_cnn": ["models.num_filters=16"],
        "test_convnext": ["models=timm", "models.architecture=test_convnext", "models.pretrained=false"],
    },
}
ALLOWED_POINTS, ALLOWED_COST = 0.3, 0.25  # of the issue


@dataclass(frozen=True)
class Cell:
    """One set, one network, one seed."""

    set: str
    network: str
    seed: int

    def overrides(self, cifar: Path | None, folder: Path) -> list[str]:
        source = [f"datamodule.file={folder / 'cifar.csv'}", f"datamodule.root={cifar}"] if self.set == "cifar" else []
        options = [*SETS[self.set], *NETWORKS[self.set][self.network], *source, f"seed={self.seed}"]
        return [*options, "trainer.threads=1", "trainer.speed=fp32", "trainer.accelerator=cpu"]


@dataclass(frozen=True)
class Result:
    """What the choice of one cell gave. Errors are shares of the test images, costs CPU-seconds."""

    cell: Cell
    chosen: str
    error: float
    plain: str
    plain_error: float
    best_by_validation: str
    best_error: float
    lowest_error: float  # of all arms in full: what only the test set knows
    search_s: float
    final_s: float
    all_s: float
    candidates_s: float  # one training in full of each candidate, at its own best rate
    plain_s: float


def course_of(cell: Cell, folder: Path, cifar: Path | None) -> Any:
    """The run's short trainings, each kept on disk."""
    import torch

    from models.settings import TrainerSettings
    from models.training import make_task, prepare_torch, settle_choices
    from tuning.course import Course, Curve, State
    from utils.build import settings

    class Kept(Course):
        """Trains once, then remembers; also tests what was trained in full, and counts what is asked for."""

        used: dict[str, float]

        def train(
            self, make_optimizer: Any, steps: int, until: int | None = None, deadline: float = math.inf
        ) -> tuple[Curve, State]:
            words = f"{make_optimizer.keywords} {steps} {until}"
            file = folder / "-".join(str(part) for part in asdict(cell).values()) / f"{_digest(words)}.json"
            if not file.exists():
                self._train_and_keep(file, make_optimizer, steps, until)
            stored = json.loads(file.read_text())
            self.used[file.name] = stored["cpu_s"]
            curve = Curve(**stored["curve"])
            self.error = stored["error"]
            return curve, State({}, {})

        def _train_and_keep(self, file: Path, make: partial[Any], steps: int, until: int | None) -> None:
            began = time.process_time()
            curve, _ = super().train(make, steps, until)
            taken = time.process_time() - began
            error = self._test() if (until or steps) == self.full_steps and not curve.dropped else None
            about = {key: value for key, value in make.keywords.items() if isinstance(value, str | int | float)}
            kept = {"arm": about, "steps": steps, "cpu_s": taken, "error": error, "curve": asdict(curve)}
            write_whole(file, json.dumps(kept))

        def _test(self) -> float:
            from models.inference import predict

            found = predict(self.task, self.data, "test", self.device)
            return float((found.logits.argmax(1) != found.target).mean())

    with initialize_config_dir(str(CONFIGURATION), version_base="1.3"):
        cache = f"datamodule.cache_dir='{folder / 'cache'}'"
        config = plain(compose("configs", overrides=[*cell.overrides(cifar, folder), cache, "optimizers.option=auto"]))
    limits = settings(TrainerSettings, config["trainer"])
    prepare_torch(limits)
    data = build(config["datamodule"], seed=config["seed"])
    data.prepare()
    task = make_task(config, data)
    settle_choices(config, limits, task, data)
    course = Kept(config, task, data, torch.device("cpu"))
    course.used = {}
    return course


def _digest(words: str) -> str:
    return hashlib.sha256(words.encode()).hexdigest()[:16]


def run(cell: Cell, folder: Path, cifar: Path | None, changes: dict[str, Any]) -> Result:
    """Every arm in full, the search, and the plain rule."""
    from tuning.arms import arms
    from tuning.auto_optimizer import search
    from tuning.auto_settings import of_choice

    course = course_of(cell, folder, cifar)
    node = course.config["optimizers"]
    node["search"] |= changes
    given, rules = of_choice(node)
    contestants = arms(node, given, rules)
    rows = []
    for arm in contestants:
        course.used = {}
        curve, _ = course.train(build(arm.node), course.full_steps)
        rows.append((arm, curve.val_loss, course.error, sum(course.used.values())))
    errors = {str(arm): 1.0 if error is None else error for arm, _, error, _ in rows}
    costs = {str(arm): cost for arm, _, _, cost in rows}
    best_rates: dict[str, tuple[float, float]] = {}
    for arm, loss, _, cost in rows:
        best_rates[arm.name] = min(best_rates.get(arm.name, (math.inf, 0.0)), (loss, cost))
    course.used = {}
    found = search(course, contestants, given, rules)
    searched = sum(course.used.values())
    plain_rules = replace(rules, rule="lowest_train_loss")
    course.used = {}
    plain_arms = arms(node, given, plain_rules)
    simple = search(course, plain_arms, replace(given, max_step_count=course.full_steps // 8), plain_rules)
    plain_s = sum(course.used.values())
    course.train(build(simple.winner.node), course.full_steps)
    plain_error = 1.0 if course.error is None else course.error
    best = min(rows, key=lambda row: row[1])[0]
    return Result(
        cell, str(found.winner), errors[str(found.winner)], str(simple.winner), plain_error,
        str(best), errors[str(best)], min(errors.values()), searched, costs[str(found.winner)],
        sum(costs.values()), sum(cost for _, cost in best_rates.values()), plain_s,
    )  # fmt: skip


def table(results: Sequence[Result]) -> str:
    """One line a cell, then what the issue asks for."""
    lines = [f"{'cell':32}{'chosen':18}{'error %':>8}{'best by val.':>20}{'error %':>8}{'lowest':>8}"
             f"{'plain rule':>18}{'error %':>8}{'cost':>8}"]  # fmt: skip
    for one in results:
        cell = f"{one.cell.set} {one.cell.network} {one.cell.seed}"
        cost = (one.search_s + one.final_s) / one.all_s
        lines.append(
            f"{cell:32}{one.chosen:18}{100 * one.error:8.2f}{one.best_by_validation:>20}{100 * one.best_error:8.2f}"
            f"{100 * one.lowest_error:8.2f}{one.plain:>18}{100 * one.plain_error:8.2f}{100 * cost:7.1f}%"
        )
    return "\n".join([*lines, "", *_summary(results)])


def _summary(results: Sequence[Result]) -> list[str]:
    groups = sorted({(one.cell.set, one.cell.network) for one in results})
    lines = []
    for name, network in groups:
        part = [one for one in results if (one.cell.set, one.cell.network) == (name, network)]
        behind = 100 * (mean(one.error for one in part) - mean(one.best_error for one in part))
        plain = 100 * (mean(one.plain_error for one in part) - mean(one.best_error for one in part))
        lines.append(f"{name} {network}, {len(part)} seeds: behind the best in full by {behind:+.2f} points "
                     f"(allowed {ALLOWED_POINTS}); the plain rule by {plain:+.2f}")  # fmt: skip
    spent = sum(one.search_s + one.final_s for one in results)
    every, candidates = sum(one.all_s for one in results), sum(one.candidates_s for one in results)
    worse = sum(one.plain_error > one.error for one in results)
    better = sum(one.plain_error < one.error for one in results)
    lines += [
        f"cost with the final training: {spent:,.0f} CPU-s of {every:,.0f} for all arms in full: {spent / every:.1%} "
        f"(allowed {ALLOWED_COST:.0%}); of {candidates:,.0f} for each candidate at its best rate alone: "
        f"{spent / candidates:.1%}",
        f"the plain rule picks worse in {worse} and better in {better} of {len(results)} cells, "
        f"at {sum(one.plain_s for one in results) / sum(one.search_s for one in results):.2f} times the search's cost",
    ]
    return lines


def write_list(folder: Path, cifar: Path, train: int, test: int) -> None:
    """The CSV of a subset of CIFAR-10's files: so many of its training and its test images."""
    if (folder / "cifar.csv").exists():
        return
    lines = ["path,label,split"]
    for split, count in (("train", train), ("test", test)):
        for place in sorted((cifar / split).iterdir()):
            files = sorted(place.iterdir())[: count // 10]
            lines += [f"{file.relative_to(cifar)},{place.name},{'test' if split == 'test' else ''}" for file in files]
    write_whole(folder / "cifar.csv", "\n".join(lines) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cifar", type=Path, help="the folder with CIFAR-10's train/<class>/ and test/<class>/")
    parser.add_argument("--sets", nargs="+", default=["digits"], choices=list(SETS))
    parser.add_argument("--networks", nargs="+", help="only these")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--train", type=int, default=3000, help="images of CIFAR-10, validation included")
    parser.add_argument("--test", type=int, default=5000)
    parser.add_argument("--search", nargs="*", default=[], help="changes of optimizers.search: share=2.0 rates=3")
    chosen = parser.parse_args()
    folder = chosen.folder.absolute()
    if "cifar" in chosen.sets:
        write_list(folder, chosen.cifar.absolute(), chosen.train, chosen.test)
    changes = {key: json.loads(value) for key, value in (change.split("=") for change in chosen.search)}
    results = []
    for name in chosen.sets:
        for network in chosen.networks or list(NETWORKS[name])[:2]:
            for seed in chosen.seeds:
                cifar = chosen.cifar.absolute() if chosen.cifar else None
                results.append(run(Cell(name, network, seed), folder, cifar, changes))
                print(table(results[-1:]).splitlines()[1], f"load {os.getloadavg()[0]:.1f}", flush=True)
    print(table(results))


if __name__ == "__main__":
    main()
