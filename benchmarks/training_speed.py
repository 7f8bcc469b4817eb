"""How fast this project trains beside timm's train.py and beside plain Lightning + torchvision's ImageFolder.

    python -m benchmarks.training_speed CIFAR --timm CHECKOUT              the speed table, 10 to 15 minutes on 2 cores
    python -m benchmarks.training_speed CIFAR --timm CHECKOUT --accuracy   equal accuracy at equal epochs?

CIFAR: a folder with train/<class>/*.jpg and test/<class>/*.jpg. CHECKOUT: timm's repository (train.py is not in the
wheel; its own `timm` package is used); without it timm's rows are left out. Needs Linux or macOS and a quiet machine:
the load average before and after is written down.

Cases (--cases):
  mobilenet      mobilenetv3_small_050, 32 px, batch 128; peers with 0 and with 1 loader worker
  resnet18       resnet18 with a 3x3 stem, 32 px, batch 128; also this project held to fp32. timm's train.py cannot
                 build this stem, so plain Lightning is the only peer
  resnet18_224   resnet18, 224 px cut from 256 px files, batch 16; the files are CIFAR images scaled up

How: every tool trains the same images (`--images`, from CIFAR's train) for the same epochs and validates after each on
a fifth as many of CIFAR's test; the tools take turns within one call, `--repeats` rounds, each round another seed, each
run with empty caches. An epoch is watched from outside, from one line in the tool's own metrics file to the next, with
its validation and its checkpoint; CPU-seconds are those of all the tool's processes. Images a second are those of the
median epoch after the first, so they hold no start-up, no cache building, no measuring of the speed mode; "whole" is
the command from start to end and holds all of that, and this project's model file, predictions and evaluation of the
best epoch, which the peers do not make. A ratio is the median over the rounds of this project's figure against the
row's in the same round.

Like for like: AdamW of one rate and decay, a cosine over all steps, no warm-up, no smoothing, drop of the last
incomplete batch, mirroring, normalisation. At 32 px this project and Lightning shift by up to 4 px; timm has no such
crop and draws resized crops of 70 to 100 % of the area. At 224 px all draw resized crops of 8 to 100 %. Not alike:
each tool's own precision and memory layout (the peers' defaults are fp32 and contiguous; `timm channels_last`, which is
run only when --tools names it, is timm with --channels-last), and weight decay on biases and norms, which plain
Lightning has.

Without --threads each tool uses as many as torch chooses, which is what the wall-clock bars are about. Idle threads of
OpenMP spin, so CPU-seconds are cleanest with --threads 1: take the CPU bars from there. On a machine that others use,
only --threads 1 and the CPU columns mean anything.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
from dataclasses import asdict, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.cifar import sample_folder
from benchmarks.measure import Measured, ToolFailed, measure
from benchmarks.tools import Job, Tool, evergreen, lightning, timm
from benchmarks.training_tables import OWN, Case, Rounds, accuracy_table, per_second, speed_table

ON_REQUEST = ("timm channels_last",)
SMALLEST_VAL = 40


CASES = (
    Case("mobilenet", "mobilenetv3_small_050", "imagenet", 32, 128, images=2560, epochs=4,
         bars={"timm, 0 workers": ("cpu", 2.5), "lightning, 0 workers": ("cpu", 2.5),
               "timm, 1 worker": ("wall", 2.0), "lightning, 1 worker": ("wall", 2.0)}),
    Case("resnet18", "resnet18", "cifar", 32, 128, images=512, epochs=2, workers=(0,), timm=False, own_fp32=True,
         bars={"lightning, 0 workers": ("cpu", 1.8)}),
    Case("resnet18_224", "resnet18", "imagenet", 224, 16, images=96, epochs=2, file_size=256, workers=(0,),
         bars={"timm, 0 workers": ("cpu", 2.0), "lightning, 0 workers": ("cpu", 2.0)}),
)  # fmt: skip


def main() -> None:
    asked = arguments()
    if asked.timm is None:
        print("without --timm CHECKOUT the rows of timm's train.py are left out")
    load_before = os.getloadavg()
    cases = chosen_cases(asked)
    results = {case.name: run_case(case, asked) for case in cases}
    text = accuracy_table(results) if asked.accuracy else speed_table(results, cases)
    print(f"\n{text}\n")
    write(asked, results, load_before)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cifar", type=Path, help="CIFAR-10 as JPEG files below train/ and test/")
    parser.add_argument("--timm", type=Path, help="a checkout of timm's repository")
    parser.add_argument("--cases", nargs="+", choices=[case.name for case in CASES], help="default: all")
    parser.add_argument("--tools", nargs="+", help=f"only the rows of these names, e.g. {OWN} 'timm, 1 worker'")
    parser.add_argument("--images", type=int, help="training images; default: each case's own")
    parser.add_argument("--epochs", type=int, help="default: each case's own; at least 2")
    parser.add_argument("--repeats", type=int, default=3, help="rounds, each of another seed")
    parser.add_argument("--threads", type=int, help="of torch in every tool; default: torch's choice")
    parser.add_argument("--accuracy", action="store_true", help="mobilenet, 10,240 images, 8 epochs by default")
    parser.add_argument("--json", type=Path, default=Path("logs/training_speed.json"))
    return parser.parse_args()


def chosen_cases(asked: argparse.Namespace) -> list[Case]:
    """The cases with the sizes that the command line gives them."""
    names = asked.cases or (["mobilenet"] if asked.accuracy else [case.name for case in CASES])
    sizes = {"images": asked.images, "epochs": asked.epochs}
    if asked.accuracy:
        sizes = {"images": asked.images or 10_240, "epochs": asked.epochs or 8, "workers": (0,), "own_fp32": False}
    given = {key: value for key, value in sizes.items() if value is not None}
    return [replace(case, **given) for case in CASES if case.name in names]


def tools_of(case: Case, asked: argparse.Namespace) -> dict[str, Tool]:
    """The rows of a case, by name."""
    tools = {OWN: evergreen()}
    if case.own_fp32:
        tools[f"{OWN}, fp32"] = evergreen("trainer.speed=fp32")
    for workers in case.workers:
        words = f"{workers} worker{'' if workers == 1 else 's'}"
        if asked.timm and case.timm:
            tools[f"timm, {words}"] = timm(asked.timm.resolve(), workers)
        tools[f"lightning, {words}"] = lightning(workers)
    if asked.timm and case.timm:
        tools["timm channels_last"] = timm(asked.timm.resolve(), 0, "--channels-last")
    wanted = asked.tools or [name for name in tools if name not in ON_REQUEST]
    return {name: tool for name, tool in tools.items() if name in wanted}


def run_case(case: Case, asked: argparse.Namespace) -> Rounds:
    """All tools of a case, in turn, round after round."""
    tools = tools_of(case, asked)
    rounds: Rounds = {name: [] for name in tools}
    with tempfile.TemporaryDirectory(prefix="training_speed_") as place:
        data = Path(place) / "data"
        sample_folder(asked.cifar, data, case.images, max(SMALLEST_VAL, case.images // 5), case.file_size)
        for seed in range(asked.repeats):
            for name in turned(list(tools), seed):
                output = Path(place) / f"{name}-{seed}".replace(" ", "_").replace(",", "")
                try:
                    rounds[name].append(run_tool(tools[name], case, data, output, seed, asked.threads))
                except ToolFailed as error:
                    print(f"{case.name}: {name} is left out from here on: {error}")
                    del tools[name], rounds[name]
                else:
                    say(case, name, seed, rounds[name][-1])
    return rounds


def turned(names: list[str], by: int) -> list[str]:
    """Another one first in each round, so that none always follows the same one."""
    by %= len(names)
    return names[by:] + names[:by]


def run_tool(tool: Tool, case: Case, data: Path, output: Path, seed: int, threads: int | None) -> Measured:
    output.mkdir()
    job = Job(data, output, case.model, case.stem, case.size, case.batch, case.epochs, seed)
    call = tool(job)
    limits = {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS") if threads}
    found = measure(call.command, call.accuracy, output / "log.txt", call.folder, limits)
    if call.steps and (done := call.steps.values()[-1] + 1) != case.epochs * (case.images // case.batch):
        raise ToolFailed(
            f"{done:.0f} steps of {case.batch} were trained, not {case.epochs} epochs of {case.images} images"
        )
    return replace(found, values=[value * call.accuracy_unit for value in found.values])


def say(case: Case, name: str, seed: int, found: Measured) -> None:
    speed, epoch = per_second(case, found), found.epoch
    print(f"{case.name:12} {name:22} seed {seed}: epoch {epoch.cpu_s:6.2f} CPU-s {epoch.wall_s:6.2f} s, "
          f"{speed['cpu']:7.1f} images/CPU-s {speed['wall']:7.1f} images/s; "
          f"whole {found.whole.cpu_s:6.1f} CPU-s {found.whole.wall_s:6.1f} s", flush=True)  # fmt: skip


def write(asked: argparse.Namespace, results: dict[str, Rounds], load_before: tuple[float, float, float]) -> None:
    """All that was measured, with the machine it was measured on."""
    record = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "arguments": sys.argv[1:],
        "machine": machine() | {"load before": load_before, "load after": os.getloadavg()},
        "cases": {case.name: asdict(case) for case in chosen_cases(asked)},
        "runs": {
            case: {tool: [asdict(one) for one in found] for tool, found in rounds.items()}
            for case, rounds in results.items()
        },
    }
    asked.json.parent.mkdir(parents=True, exist_ok=True)
    asked.json.write_text(json.dumps(record, indent=1))
    print(f"load average {load_before[0]:.2f} before, {os.getloadavg()[0]:.2f} after; every run: {asked.json}")


def machine() -> dict[str, Any]:
    packages = ("torch", "torchvision", "timm", "pytorch-lightning", "pillow")
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        **{package: version(package) for package in packages},
    }


def processor() -> str:
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text().splitlines() if facts.exists() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())


if __name__ == "__main__":
    main()
