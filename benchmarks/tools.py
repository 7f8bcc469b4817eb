"""The commands that train the same network on the same folder: this project, timm's train.py, plain Lightning."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import Watch

PROJECT = Path(__file__).resolve().parent.parent

# timm asks for persistent workers, which is refused where there are none: this changes that one argument.
TIMM_WITHOUT_WORKERS = """
import functools, runpy, sys, timm.data
timm.data.create_loader = functools.partial(timm.data.create_loader, persistent_workers=False)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@dataclass(frozen=True)
class Job:
    """One training that every tool is asked for; AdamW, a cosine over all steps, no warm-up, no label smoothing."""

    data: Path  # with train/<class>/ and val/<class>/
    output: Path  # empty; everything the tool writes goes below it
    model: str
    stem: str  # imagenet or cifar
    size: int  # pixels that the network sees
    batch: int
    epochs: int
    seed: int
    lr: float = 2e-3
    weight_decay: float = 0.01


@dataclass(frozen=True)
class Call:
    """How a tool is run: its command line, the folder it starts in, and the file in which it tells its accuracy."""

    command: list[str]
    folder: Path
    accuracy: Watch
    accuracy_unit: float = 1.0  # of the file's values; 0.01 for per cent
    steps: Watch | None = None  # numbers of steps done, the last one being that of the last step, counted from 0


Tool = Callable[[Job], Call]


def evergreen(*overrides: str) -> Tool:
    """This project's train.py."""

    def call(job: Job) -> Call:
        command = [
            sys.executable, "train.py", "datamodule=folder", f"datamodule.root={job.data}",
            f"datamodule.height={job.size}", f"datamodule.width={job.size}", f"datamodule.batch_size={job.batch}",
            f"datamodule.cache_dir={job.output / 'cache'}", *augmentation(job),
            f"datamodule.crop={evaluation_crop(job)}", "datamodule.test_share=0",
            "models=timm", f"models.architecture={job.model}", f"models.stem={job.stem}", "models.pretrained=false",
            "optimizers=adamw", f"optimizers.lr={job.lr}", f"optimizers.weight_decay={job.weight_decay}",
            "schedulers=cosine", "schedulers.warmup=0", f"trainer.max_epochs={job.epochs}", "trainer.accelerator=cpu",
            f"seed={job.seed}", f"logs={job.output}", *overrides,
        ]  # fmt: skip
        return Call(command, PROJECT, _metrics(job, "val/accuracy"), steps=_metrics(job, "step"))

    return call


def timm(checkout: Path, workers: int, *options: str) -> Tool:
    """timm's train.py from a checkout of its repository."""

    def call(job: Job) -> Call:
        start = [sys.executable] if workers else [sys.executable, "-c", TIMM_WITHOUT_WORKERS]
        crop = ["--scale", "0.7", "1"] if job.size == 32 else []
        command = [
            *start, str(checkout / "train.py"), str(job.data), "--val-split", "val", "--device", "cpu",
            "-j", str(workers), "--model", job.model, "--num-classes", "10", "-b", str(job.batch),
            "--input-size", "3", str(job.size), str(job.size), "--crop-pct", str(evaluation_crop(job)),
            "--mean", "0.4914", "0.4822", "0.4465", "--std", "0.2470", "0.2435", "0.2616",
            "--opt", "adamw", "--lr", str(job.lr), "--weight-decay", str(job.weight_decay),
            "--sched", "cosine", "--sched-on-updates", "--warmup-epochs", "0", "--epochs", str(job.epochs),
            "--smoothing", "0", "--color-jitter", "0", *crop, "--seed", str(job.seed),
            "--output", str(job.output), *options,
        ]  # fmt: skip
        return Call(command, checkout, Watch(job.output, "*/summary.csv", "eval_top1"), 0.01)

    return call


def lightning(workers: int) -> Tool:
    """Lightning with torchvision's ImageFolder: `benchmarks.plain_lightning`."""

    def call(job: Job) -> Call:
        command = [
            sys.executable, "-m", "benchmarks.plain_lightning", str(job.data), "--output", str(job.output),
            "--model", job.model, "--stem", job.stem, "--size", str(job.size), "--batch", str(job.batch),
            "--workers", str(workers), "--epochs", str(job.epochs), "--seed", str(job.seed),
            "--lr", str(job.lr), "--weight-decay", str(job.weight_decay),
        ]  # fmt: skip
        return Call(command, PROJECT, _metrics(job, "val_accuracy"), steps=_metrics(job, "step"))

    return call


def _metrics(job: Job, column: str) -> Watch:
    return Watch(job.output, "*/*/metrics.csv", column)


def augmentation(job: Job) -> list[str]:
    """Shifts by up to 4 px at 32 px, otherwise torchvision's classical resized crop; mirrored by chance in both."""
    if job.size > 32:
        return ["datamodule/augment=imagenet"]
    return ["datamodule/augment=small", "datamodule.augment.flip._target_=datamodule.geometry.Flip"]


def evaluation_crop(job: Job) -> float:
    """The part of the picture that validation sees: all of a small one, the usual middle of a larger one."""
    return 1.0 if job.size == 32 else 0.875
