"""One cell of the label-error benchmark: a noise, a seed; both sides judge the same noisy labels."""

import csv
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from hydra import compose, initialize_config_dir
from numpy.typing import NDArray

from benchmarks.label_scores import cleanlab, judged
from models.inference import Predictions, predict
from models.label_errors import Findings, findings
from models.label_pages import CSV
from models.label_recorder import LabelErrors
from models.run import Run, create
from models.settings import TrainerSettings
from models.training import make_task, make_trainer, prepare_torch, settle_choices
from utils.build import build, settings
from utils.configuration import plain
from utils.overrides import CONFIGURATION

Array = NDArray[Any]
Cell = dict[str, Any]

SETTINGS = (  # the network and the rates of experiment=cifar10_fast
    "datamodule=csv", "datamodule/augment=small", "datamodule.augment.crop.pixels=2", "datamodule.batch_size=250",
    "datamodule.eval_batch_size=1000", "datamodule.val_share=0", "datamodule.test_share=0",
    "datamodule.label_column=given", "models=fast_net", "models.kernel_size=4", "models.stride=2", "models.whitened=48",
    "optimizers=muon_sgd", "schedulers=linear", "schedulers.warmup=0", "task.loss.label_smoothing=0.2",
    "trainer.accelerator=cpu", "trainer.threads=1", "trainer.check_val_every_n_epoch=1000", "trainer.progress=false",
    "callback.checkpoints=null", "logger.metrics_file=null", "logger.tensorboard=null",
)  # fmt: skip


@dataclass(frozen=True)
class Job:
    """cifar: its folder of JPEG files. noise: such as sym20 or pair20, in per cent. images: of training."""

    cifar: Path
    noise: str
    seed: int
    images: int
    epochs: int
    folds: int
    speed: str

    @property
    def key(self) -> str:
        return f"{self.noise} seed {self.seed}, {self.images} images, {self.epochs} epochs, {self.folds} folds"


class Noisy:
    """Training images with some labels made wrong, and the clean test images.

    files: paths below CIFAR's folder. true, given: (images,) class numbers. fold: (images,), for cross-validation.
    """

    def __init__(self, job: Job) -> None:
        self.classes = sorted(place.name for place in (job.cifar / "train").glob("*/"))
        each = job.images // len(self.classes)
        self.files = [file for name in self.classes for file in listed(job.cifar, f"train/{name}")[:each]]
        self.test = [file for name in self.classes for file in listed(job.cifar, f"test/{name}")]
        self.true = np.repeat(np.arange(len(self.classes)), each)
        self.given = flipped(self.true, job.noise, len(self.classes), np.random.default_rng(job.seed))
        self.fold = np.random.default_rng(1000 + job.seed).permutation(len(self.true)) % job.folds

    def write(self, file: Path, fold: int | None = None) -> None:
        """A CSV to train from: test images are `test`; of a fold, its images are `val`."""
        with file.open("w", newline="") as lines:
            writer = csv.writer(lines)
            writer.writerow(("path", "given", "split"))
            for path, given, part in zip(self.files, self.given, self.fold, strict=True):
                writer.writerow((path, self.classes[given], "val" if part == fold else "train"))
            if fold is None:
                writer.writerows((path, Path(path).parent.name, "test") for path in self.test)


def listed(root: Path, folder: str) -> list[str]:
    return [f"{folder}/{file.name}" for file in sorted((root / folder).iterdir())]


def flipped(true: Array, noise: str, classes: int, rng: np.random.Generator) -> Array:
    """sym: another class by chance; pair: the next one. Exactly so many per cent of the labels."""
    kind, share = noise[:-2], int(noise[-2:]) / 100
    if kind not in ("sym", "pair"):
        raise ValueError(f"noise {noise}: use sym or pair and two digits of per cent, such as sym20")
    wrong = rng.choice(len(true), round(share * len(true)), replace=False)
    given = true.copy()
    given[wrong] += rng.integers(1, classes, len(wrong)) if kind == "sym" else 1
    return given % classes


@contextmanager
def clock(taken: dict[str, float], name: str) -> Iterator[None]:
    """Adds the CPU-seconds of a block."""
    before = time.process_time()
    yield
    taken[name] = taken.get(name, 0.0) + time.process_time() - before


def run_cell(job: Job, work: Path) -> Cell:
    """All sides of a cell: their scores, CPU-seconds, and the accuracy of the model that each leaves."""
    noisy = Noisy(job)
    cell: Cell = {"ours": ours(job, work, noisy, trim=False), "ours, trimmed": ours(job, work, noisy, trim=True)}
    logits, seconds = out_of_fold(job, work, noisy)
    cell |= cleanlab(noisy.given, noisy.true, logits, seconds)
    found = findings(logits, noisy.given)
    cell["ours, out of fold"] = judged(noisy.true, found) | {"cpu_s": seconds}
    return cell


def ours(job: Job, work: Path, noisy: Noisy, trim: bool) -> Cell:
    """One training with callback=label_errors; `cpu_s` holds all of it, `search_s` what the callback took of that."""
    taken: dict[str, float] = {}
    quiet = ("callback.label_errors.quality=false", "callback.label_errors.thumbnails=0")
    options = ("callback=label_errors", *quiet, f"callback.label_errors.trim={trim}")
    file = work / "noisy.csv"
    noisy.write(file)
    run, predictions = trained(job, work, file, options, "test", taken)
    right = float((predictions.logits.argmax(1) == predictions.target).mean())
    found = read_findings(run.folder / CSV, noisy)
    return judged(noisy.true, found) | {"cpu_s": taken["train"], "search_s": taken["search"], "accuracy": right}


def out_of_fold(job: Job, work: Path, noisy: Noisy) -> tuple[Array, float]:
    """Each image's logits by a network that was not trained on it, (images, classes), and the CPU-seconds."""
    logits, taken = np.zeros((len(noisy.given), len(noisy.classes)), np.float32), dict[str, float]()
    for fold in range(job.folds):
        file = work / f"fold{fold}.csv"
        noisy.write(file, fold)
        _, found = trained(job, work, file, (), "val", taken)
        logits[noisy.fold == fold] = found.logits  # both in the order of the paths
    return logits, taken["train"] + taken["predict"]


def trained(
    job: Job, work: Path, file: Path, options: tuple[str, ...], split: str, taken: dict[str, float]
) -> tuple[Run, Predictions]:
    """A model trained from a CSV, and its logits on a split. Reading the images for the first time is not timed."""
    config = composed(job, work, file, options)
    limits = settings(TrainerSettings, config["trainer"], "trainer.")
    prepare_torch(limits)
    data = build(config["datamodule"], seed=config["seed"])
    data.prepare()
    if data.skipped:
        raise ValueError(f"{job.cifar} holds equal files, which cannot be labelled differently: {data.skipped[:3]}")
    run = create(str(work / "logs"), "label_errors", None, True)
    with clock(taken, "train"):
        task = make_task(config, data)
        settle_choices(config, limits, task, data)
        trainer = make_trainer(config, run, task, data)
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, LabelErrors):
                watch(callback, taken)
        trainer.fit(task, data)
    data.trainer = None
    with clock(taken, "predict"):
        found = predict(task, data, split, trainer.strategy.root_device)
    return run, found


def read_findings(file: Path, noisy: Noisy) -> Findings:
    """label_errors.csv in the order of the images."""
    with file.open(newline="") as lines:
        rows = {row["file"]: row for row in csv.DictReader(lines)}
    ordered, number = [rows[name] for name in noisy.files], {name: code for code, name in enumerate(noisy.classes)}
    return Findings(
        given=np.array([number[row["given"]] for row in ordered]),
        suggested=np.array([number[row["suggested"]] for row in ordered]),
        score=np.array([float(row["score"]) for row in ordered]),
        rank=np.array([int(row["rank"]) for row in ordered]),
        flagged=np.array([row["flagged"] == "true" for row in ordered]),
    )


def composed(job: Job, work: Path, file: Path, options: tuple[str, ...]) -> dict[str, Any]:
    own = (f"datamodule.file={file}", f"datamodule.root={job.cifar}", f"datamodule.cache_dir={work / 'cache'}",
           f"trainer.max_epochs={job.epochs}", f"trainer.speed={job.speed}", f"seed={job.seed}")  # fmt: skip
    with initialize_config_dir(str(CONFIGURATION), version_base="1.3"):
        return plain(compose("configs", overrides=[*SETTINGS, *own, *options]))


def watch(callback: LabelErrors, taken: dict[str, float]) -> None:
    """Times every hook of the callback that training calls."""
    taken["search"] = 0.0
    for name in ("on_train_epoch_start", "on_train_batch_end", "on_train_end"):
        setattr(callback, name, timed(getattr(callback, name), taken))


def timed(function: Callable[..., Any], taken: dict[str, float]) -> Callable[..., Any]:
    def call(*arguments: Any) -> Any:
        with clock(taken, "search"):
            return function(*arguments)

    return call
