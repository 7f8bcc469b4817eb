"""`python train.py active=…`: from a configuration and a run folder to labels, a report and a model."""

import copy
import csv
import io
import logging
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from active.bench import Bench
from active.loop import Arm
from active.report import REFERENCE, curves, of, sections
from active.rounds import Trainings
from active.settings import ActiveSettings, Nodes, split
from active.start import identity, journal_of
from active.starting import starting_weights
from datamodule.pool import PoolData
from models.outcome import Outcome
from models.record import environment
from models.run import Run
from models.settings import TrainerSettings
from models.training import Parts, prepare_torch, train
from utils.build import build, check_third_party, settings
from utils.configuration import option
from utils.files import write_whole
from utils.journal import Journal
from utils.overrides import options
from utils.report import write_report

log = logging.getLogger(__name__)
Config = dict[str, Any]


def learn(config: Config, run: Run) -> Outcome:
    """Labels, trains and reports, from wherever the run's journal stands; the last training's outcome."""
    values, nodes = split(config["active"])
    chosen = settings(ActiveSettings, values, "active.")
    check_third_party(config)
    prepare_torch(settings(TrainerSettings, config["trainer"], "trainer."))
    oracle = build(nodes.oracle)
    plan = [(name, build(node), seed) for name, node, seed in planned(chosen, nodes, oracle.knows_all)]
    trainings = Trainings(config, chosen, build(nodes.retrain))
    rules = tuple(build(node) for node in nodes.stopping.values())
    state, selection = build(nodes.state), build(nodes.selection)
    data = prepared(config, oracle.knows_all)
    journal = Journal(journal_of(run))
    _begin(config, run, journal, data)
    start = chosen.start or config["resume_weights_training"]
    first = journal.once("run", "start", lambda: starting_weights(start, config["logs"], data, selection))
    bench = Bench(run, chosen, data, journal, replace(trainings, first=first["weights"]), state, rules)
    arms = [Arm(name, strategy, oracle, seed, bench) for name, strategy, seed in plan]
    for arm in arms:
        arm.learn()
    write_labels(run.folder / "labels.csv", arms[0])
    tell(arms)
    return _conclude(config, run, bench, arms)


def prepared(config: Config, knows_all: bool) -> PoolData:
    """The pool; an oracle that knows all can only be asked for what has a label."""
    source = build(config["datamodule"], seed=config["seed"])
    data = PoolData(source)
    data.prepare()
    if knows_all:
        told = data.known[data.candidates] != ""
        if left := int((~told).sum()):
            log.info("%d images without a label are left out: active/oracle=known knows none", left)
        data.candidates = data.candidates[told]
    if not len(data.candidates):
        raise ValueError(f"{data.inventory.root}: no image has a label to learn from; use active/oracle=folder or web")
    return data


def _begin(config: Config, run: Run, journal: Journal, data: PoolData) -> None:
    record = {"started": time.strftime("%Y-%m-%dT%H:%M:%S"), "environment": environment()}
    begun = journal.once(
        "run", "begun", lambda: {"identity": identity(config), "digest": data.digest, "record": record}
    )
    if begun["digest"] != data.digest:
        raise ValueError(
            f"the data changed since {run.folder.name} began (digest {begun['digest'][:12]} then, "
            f"{data.digest[:12]} now): put them back, or start anew with run_name=NAME"
        )
    if not run.configuration_file.is_file():
        run.write(config | {"record": begun["record"] | {"data": {"digest": data.digest, **data.sizes}}})


def planned(chosen: ActiveSettings, nodes: Nodes, knows_all: bool) -> list[tuple[str, Config, int]]:
    """Name, node and seed of each strategy that runs: the chosen one first, random for reference, or the compared."""
    if chosen.compare and not knows_all:
        raise ValueError("active.compare asks for labels that nobody has given yet: use active/oracle=known")
    named: dict[str, Config] = {name: option("active/strategy", name) for name in chosen.compare}
    if not named:
        named[name_of(nodes.strategy)] = dict(nodes.strategy)
        if chosen.reference and knows_all and REFERENCE not in named:
            named[REFERENCE] = option("active/strategy", REFERENCE)
    return [(name, node, seed) for name, node in named.items() for seed in range(chosen.seeds)]


def name_of(node: Config) -> str:
    """What a strategy's yaml is called."""
    target = node["_target_"]
    found = [name for name in options("active/strategy") if option("active/strategy", name)["_target_"] == target]
    return found[0] if found else str(target).rpartition(".")[2]


def write_labels(file: Path, arm: Arm) -> None:
    """path, sha256, label, round of each image that was asked for; skipped ones have no label."""
    text, bench, labels = io.StringIO(newline=""), arm.bench, arm.labels(10**6)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", "sha256", "label", "round"])
    for query in arm.queries():
        for sha in query["picks"]:
            row = bench.rows[bench.place[sha]]
            writer.writerow([bench.data.inventory.path[row], sha, labels.get(sha, ""), query["number"]])
    write_whole(file, text.getvalue())


def tell(arms: list[Arm]) -> None:
    """What it came to, in a line a strategy."""
    for arm in arms:
        log.info("%s: %d labels; %s", arm.key, len(arm.labels(10**6)), arm.why())
    found = {curve.name: curve for curve in curves(arms)}
    reference = found.get(REFERENCE)
    for name, curve in found.items():
        if reference is not None and curve is not reference:
            needed = curve.labels_to(float(reference.mean.max()))
            told = f"reaches random's best, {reference.mean.max():.1%}, "
            told += f"with {needed} labels" if needed else "not yet"
            log.info("%s %s instead of %s", name, told, reference.labels_to(float(reference.mean.max())))


def _conclude(config: Config, run: Run, bench: Bench, arms: list[Arm]) -> Outcome:
    """The run's own training in full on all labels, with a report that has the loop's sections."""
    main = arms[0]
    labels = main.labels(10**6)
    if not labels:
        raise ValueError("no image got a label: nothing can be trained; answer some of the questions")
    final = copy.deepcopy(config)
    final["resume_weights_training"] = None if bench.trainings.first is None else str(bench.trainings.first)
    final["trainer"] |= bench.journal.find("run", "speed") or {}
    outcome = train(final, run, run.can_go_on, Parts(data=bench.data.labelled(labels), sections=of(bench, arms)))
    if not (run.report / "index.html").exists():
        write_report(run.report, f"{run.folder.parent.name} / {run.folder.name}", sections(bench, arms))
    shutil.rmtree(run.folder / "rounds", ignore_errors=True)
    return outcome
