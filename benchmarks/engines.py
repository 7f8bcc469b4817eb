"""Each engine against eager float32 on six networks at 224 px, and what the automatic choice makes of it.

    python -m benchmarks.engines data/cifar10 [--work .engines] [--batches 1 32] [--rounds 5] [--images 500]

The networks are trained first, briefly (benchmarks.engine_models); models, engines and figures stay in the work folder,
so that the same command goes on after an interruption. Every engine takes uint8 pixels and gives logits, normalised on
the way, on one thread. Eager float32 in PyTorch's plain layout is 1. CPU seconds of the whole process, engines in turns
within each round, the median over rounds of the ratio inside a round, which other work on the machine disturbs least.
`auto` is the fastest of those that pass the gate: agreement of 0.99 and at most 0.2 points of accuracy lost on test
pictures that the network has not seen; int8 is calibrated on others.
"""

import json
import os
import time
from argparse import ArgumentParser, RawTextHelpFormatter
from collections.abc import Callable
from functools import partial
from math import exp, log
from pathlib import Path
from statistics import median
from typing import Any

import torch
import yaml

from benchmarks.engine_models import ARCHITECTURES, evaluation, trained
from datamodule.decode import Pixels
from serving.engines.auto import CLOSER, Auto, Tried
from serving.engines.machine import cpu_flags, cpu_name
from serving.engines.source import source_of
from utils.build import build
from utils.files import write_whole
from utils.overrides import CONFIGURATION

WANTED = {1: 4.0, 32: 6.0}  # geometric mean
LEAST = 2.2  # of any model


def candidates(names: list[str]) -> list[Any]:
    """Those of the automatic choice that are named, on one thread where they can be told so."""
    nodes = yaml.safe_load((CONFIGURATION / "engine" / "auto.yaml").read_text())["candidates"]
    nodes.append({"_target_": "serving.engines.compiled.Compiled"})
    single = ("openvino.OpenVino", "onnxruntime.OnnxRuntime")
    made = [build(node | ({"threads": 1} if node["_target_"].endswith(single) else {})) for node in nodes]
    return [maker for maker in made if maker.name in names]


def measured(tried: list[Tried], pixels: Pixels, size: int, rounds: int) -> dict[str, float]:
    """How many times as fast as eager float32 each engine is, by its label; eager's own CPU milliseconds as `ms`."""
    calls = {one.maker.label: one.engine for one in tried if one.engine is not None}
    batch, reference = pixels[:size], tried[0].maker.label
    for engine in calls.values():
        engine(batch)
    times = max(1, 8 // size)
    seconds = [{name: _cpu(partial(engine, batch), times) for name, engine in calls.items()} for _ in range(rounds)]
    ratios = {name: median(one[reference] / one[name] for one in seconds) for name in calls}
    return ratios | {"ms": 1000 * median(one[reference] for one in seconds)}


def _cpu(call: Callable[[], object], times: int) -> float:
    began = time.process_time()
    for _ in range(times):
        call()
    return (time.process_time() - began) / times


def figures(architecture: str, given: Any, images: Pixels, target: Any, calibration: Pixels) -> dict[str, Any]:
    """Verdicts and ratios of one network; taken from the work folder where they are there."""
    file: Path = given.work / architecture / "engines.json"
    if file.is_file():
        return json.loads(file.read_text())
    source = source_of(trained(architecture, given.data, given.work, given.seconds), calibration)
    tried = Auto(candidates(given.engines), images=given.images).gated(source, images, target)
    found = {
        "verdicts": {one.maker.label: [one.accepted, one.verdict.why] for one in tried},
        "read back": {one.maker.label: one.engine.facts.precision for one in tried if one.engine},
        "ratios": {str(size): measured(tried, images, size, given.rounds) for size in given.batches},
    }
    write_whole(file, json.dumps(found, indent=2))
    return found


def show(found: dict[str, dict[str, Any]], batches: list[int]) -> None:
    """A table for each batch size; refused engines in brackets."""
    labels = list(dict.fromkeys(label for one in found.values() for label in one["read back"]))
    for size in batches:
        print(f"\nbatch {size:<32}" + "".join(f"{name[:15]:>17}" for name in found))
        for label in labels:
            print(f"{label:38}" + "".join(_cell(one, label, size) for one in found.values()))
        best = [_best(one["ratios"][str(size)], one["verdicts"]) for one in found.values()]
        print(f"{'auto':38}" + "".join(f"{ratio:17.2f}" for ratio in best))
        mean = exp(sum(map(log, best)) / len(best))
        print(f"auto: geometric mean {mean:.2f} (wanted {WANTED.get(size, 0)}), least {min(best):.2f} (wanted {LEAST})")
    print()
    for name, one in found.items():
        for label, (accepted, why) in one["verdicts"].items():
            print(f"{name:24}{label:26}{'passed ' if accepted else 'refused'} {why}")


def _best(ratios: dict[str, float], verdicts: dict[str, Any]) -> float:
    return max(ratio for label, ratio in ratios.items() if label in verdicts and verdicts[label][0])


def _cell(one: dict[str, Any], label: str, size: int) -> str:
    ratio = one["ratios"][str(size)].get(label)
    if ratio is None:
        return f"{'':17}"
    told = f"{ratio:.2f}"
    return f"{told if one['verdicts'][label][0] else f'({told})':>17}"


def main() -> None:
    parser = ArgumentParser(description=__doc__, formatter_class=RawTextHelpFormatter)
    parser.add_argument("data", type=Path, help="CIFAR-10 as train/<class>/ and test/<class>/")
    parser.add_argument("--work", type=Path, default=Path(".engines"), help="where models and figures stay")
    parser.add_argument("--models", nargs="+", default=list(ARCHITECTURES))
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 32])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=500, help="of the gate; four times as many where few decide")
    parser.add_argument("--seconds", type=float, default=240, help="CPU seconds of training for each network")
    parser.add_argument(
        "--engines",
        nargs="+",
        default=["eager", "onnxruntime", "openvino", "cuda_graphs", "tensorrt"],
        help="also: compile, which takes minutes for each network",
    )
    given = parser.parse_args()
    torch.set_num_threads(1)
    images, target = evaluation(given.data, "test", CLOSER * given.images)
    calibration, _ = evaluation(given.data, "train", 100)
    print(f"{cpu_name()} ({', '.join(cpu_flags())}), one thread, load {os.getloadavg()[0]:.1f}")
    show({name: figures(name, given, images, target.numpy(), calibration) for name in given.models}, given.batches)


if __name__ == "__main__":
    main()
