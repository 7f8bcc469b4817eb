"""From a plain configuration and a run folder to a trained model."""

import copy
import functools
import logging
import pickle
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from torch import Tensor, nn

from datamodule.data import ImageData
from models.callbacks import Budget, FiniteLoss, Progress
from models.checkpoint import WholeFiles
from models.inference import example, sample
from models.model_file import load_weights, start_from, weights_sha256
from models.outcome import Further, Outcome, conclude, no_more
from models.record import environment
from models.rescaled import holds_values
from models.run import Run
from models.runs import weights_file
from models.settings import CHOSEN, TrainerSettings, duration
from models.speed import Bench, Speed, choose, spelt
from models.task import ImageTask
from utils.build import build, check_third_party, settings
from utils.words import many

log = logging.getLogger(__name__)
BATCH_SIZE, RATE = 64, 1e-3  # to measure with, where they are to be found
STAND_INS = {"datamodule": ("batch_size", BATCH_SIZE), "optimizers": ("lr", RATE)}
Config = dict[str, Any]
Choose = Callable[[Config, Run, ImageTask, ImageData], None]  # completes a configuration that says auto, in place


@dataclass(frozen=True)
class Parts:
    """What a caller above hands in.

    data: already prepared. callbacks: further ones. choose: makes the choices that need short trainings. sections: what
    else the run's report has; None: no report.
    """

    data: ImageData | None = None
    callbacks: tuple[pl.Callback, ...] = ()
    choose: Choose | None = None
    sections: Further | None = no_more


def train(config: Config, run: Run, resume: bool = False, parts: Parts = Parts()) -> Outcome:
    """Trains into the run folder. When memory runs out it starts again with half the batch and twice the accumulation.

    config: plain and resolved, as `utils.configuration.plain` gives it. resume: go on from the run's last checkpoint.
    """
    config = copy.deepcopy(config)
    check_third_party(config)
    while True:
        try:
            fitted = _fit(config, run, resume, parts)
            break
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if "does not have a deterministic implementation" in str(error):
                raise ValueError(f"{str(error).partition(',')[0]} here: set trainer.deterministic=warn") from error
            if not _is_out_of_memory(error):
                raise
            if resume:
                raise ValueError(_too_little_memory(config, run)) from error
            if not _halve_batch(config):
                raise
    wanted = config["trainer"].get("report", True)  # which runs of an earlier version do not say
    return conclude(config, run, *fitted, parts.sections if wanted else None)


def _is_out_of_memory(error: BaseException) -> bool:
    signs = ("can't allocate memory", "could not create a primitive", "std::bad_alloc")  # of torch, oneDNN, C++
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(sign in str(error) for sign in signs)


def _too_little_memory(config: Config, run: Run) -> str:
    return (
        f"out of memory at datamodule.batch_size={config['datamodule']['batch_size']}, with which {run.folder.name} "
        "was begun: go on where there is more, or start anew with smaller batches from its weights, "
        f"resume_weights_training={run.folder}"
    )


def _halve_batch(config: Config) -> bool:
    given = config["datamodule"]["batch_size"]
    size = BATCH_SIZE if given == "auto" else int(given)
    if size < 2:
        return False
    config["datamodule"]["batch_size"] = size // 2
    config["trainer"]["accumulate_grad_batches"] *= 2
    log.warning("out of memory at batch size %d: starting again with %d, gradients accumulated over %d batches",
                size, size // 2, config["trainer"]["accumulate_grad_batches"])  # fmt: skip
    return True


def _fit(config: Config, run: Run, resume: bool, parts: Parts) -> tuple[pl.Trainer, ImageTask, ImageData]:
    limits = settings(TrainerSettings, config["trainer"], "trainer.")
    prepare_torch(limits)
    _refuse_missing_devices(limits)
    data_node = stand_in(config, "datamodule")
    data: ImageData = parts.data or build(data_node, seed=config["seed"])
    data.batch_size = data_node["batch_size"]
    data.prepare()
    if resume:
        _refuse_other_data(run, data)
    checkpoint = _read(run.last) if resume else None
    task = make_task(config, data)
    task.check(example(data, torch.device("cpu")).image[:2])
    if checkpoint:
        _refuse_unlike(run, checkpoint, task, limits)
    parent = None if resume else _start_from_weights(config, task)
    record = {
        "started": time.strftime("%Y-%m-%dT%H:%M:%S"),
        "environment": environment(),
        "data": {"digest": data.digest, **data.sizes},
        "weights": {"initial": weights_sha256(task.net.state_dict()), "parent": parent},
    }
    settle_choices(config, limits, task, data)
    if parts.choose and not resume:
        parts.choose(config, run, task, data)
    refuse_unchosen(config)
    trainer = make_trainer(config, run, task, data, parts.callbacks)
    if trainer.is_global_zero:
        run.write(config | {"record": run.read()["record"] if resume else record})
    with _interruptible():
        trainer.fit(task, data, ckpt_path=run.last if resume else None, weights_only=True)
    return trainer, task, data


@contextmanager
def _interruptible() -> Iterator[None]:
    """Lightning ends the process with status 1 on a Ctrl-C that no callback answers; here the caller hears of it."""
    try:
        yield
    except SystemExit as ended:
        if isinstance(ended.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from ended
        raise


def prepare_torch(limits: TrainerSettings) -> None:
    """Threads and determinism of this process."""
    if limits.threads:
        torch.set_num_threads(limits.threads)
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    # Deterministic mode would fill every fresh tensor first; no kernel used here reads one before it writes it.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def _refuse_missing_devices(limits: TrainerSettings) -> None:
    try:
        _probe(limits.accelerator, tuple(limits.devices) if isinstance(limits.devices, list) else limits.devices)
    except (MisconfigurationException, TypeError, ValueError) as error:
        asked = f"trainer.accelerator={limits.accelerator}, trainer.devices={limits.devices}"
        raise ValueError(f"{asked} cannot be had here: {error}") from error


def make_net(config: Config, data: ImageData) -> Any:
    """The network for these images, initialised from the seed alone."""
    torch.manual_seed(config["seed"])
    shape = data.preprocessing
    return build(
        config["models"], num_classes=len(data.classes), channels=shape.channels, height=shape.height, width=shape.width
    )


def make_task(config: Config, data: ImageData) -> ImageTask:
    """The network, initialised from the seed alone, in its task."""
    net = make_net(config, data)
    if hasattr(net, "prepare"):
        net.prepare(sample(data))
    task = task_around(net, config, data, data.target[data.inventory.rows("train")])
    task.prepare(data)
    return task


def task_around(net: nn.Module, config: Config, data: ImageData, examples: Tensor | None = None) -> ImageTask:
    """A network in its task. examples: the training images' targets, which a task measures; None: it is trained."""
    return build(
        config["task"],
        net=net,
        optimizer=build(config["optimizers"]),
        schedule=build(config["schedulers"]),
        num_classes=config["task"].get("num_classes") or len(data.classes),
        examples=examples,
        seed=config["seed"],
    )


def _start_from_weights(config: Config, task: ImageTask) -> str | None:
    """Loads resume_weights_training's weights; answers their hash, the new model's parent."""
    source = config["resume_weights_training"]
    if not source:
        return None
    file = weights_file(source, config["logs"])
    weights = load_weights(file)
    if holds_values(weights) != (task.name == "regression"):
        of_what = "a regression's" if holds_values(weights) else "no regression's"
        raise ValueError(
            f"resume_weights_training={source}: {file} holds {of_what} weights, this run is of task={task.name}; a "
            "regression starts from a regression's weights, and nothing else does"
        )
    fresh = start_from(task.net, weights)
    log.info("weights from %s%s", file, f"; as initialised (other shape or new): {', '.join(fresh)}" if fresh else "")
    return weights_sha256(weights)


def _refuse_other_data(run: Run, data: ImageData) -> None:
    before = run.read()["record"]["data"]["digest"]
    if before != data.digest:
        raise ValueError(
            f"the data changed since {run.folder.name} started (digest {before[:12]} then, {data.digest[:12]} now): "
            f"start anew from its weights with resume_weights_training={run.folder}"
        )


def _read(checkpoint: Path) -> dict[str, Any]:
    try:
        return dict(torch.load(checkpoint, map_location="cpu", mmap=True, weights_only=True))
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise ValueError(
            f"{checkpoint} cannot be read ({type(error).__name__}): put a whole copy of it there, or start a new run"
        ) from error


def _refuse_unlike(run: Run, checkpoint: dict[str, Any], task: ImageTask, limits: TrainerSettings) -> None:
    """Raises ValueError for what the checkpoint cannot go on with, before it is stored in the run's configuration."""
    begun, steps = checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]["ready"], checkpoint["global_step"]
    if begun > limits.max_epochs:
        raise ValueError(
            f"trainer.max_epochs={limits.max_epochs}: {run.folder.name} has begun epoch {begun}; give {begun} or more"
        )
    if 0 < limits.max_steps < steps:
        raise ValueError(
            f"trainer.max_steps={limits.max_steps}: {run.folder.name} has trained {many(steps, 'step')}; give as many "
            "or more, or -1 for no limit"
        )
    there = {name: tuple(tensor.shape) for name, tensor in checkpoint["state_dict"].items()}
    here = {name: tuple(tensor.shape) for name, tensor in task.state_dict().items()}
    for name in sorted(there.keys() & here.keys()):
        if there[name] != here[name]:
            raise ValueError(
                f"{run.last} does not fit this network: {name} is {there[name]} there and {here[name]} here; leave out "
                f"what changes the network, or start anew from its weights with resume_weights_training={run.folder}"
            )


def settle_choices(config: Config, limits: TrainerSettings, task: ImageTask, data: ImageData) -> None:
    """Measures what is `auto` and writes each choice as a literal, so that a rerun repeats it instead of measuring."""
    shape = data.preprocessing
    config["datamodule"] |= {"height": shape.height, "width": shape.width, "channels": shape.channels}
    config["datamodule"] |= {"mean": list(shape.mean), "std": list(shape.std)}
    for key, value in task.choices().items():
        config["task"][key] |= value
    if limits.speed == "auto":
        config["trainer"] |= _measured_speed(config, limits, task, data)
    torch.set_num_threads(config["trainer"]["threads"] or torch.get_num_threads())
    config["trainer"]["threads"] = torch.get_num_threads()
    Speed(config["trainer"]["speed"]).apply(task.net)


def refuse_unchosen(config: Config) -> None:
    """Raises ValueError where the configuration still leaves something open: nobody was handed in to choose it."""
    for group, key in CHOSEN:
        if config[group].get(key) == "auto":
            raise ValueError(f"{group}.{key}=auto: this command does not choose it; use train.py or give a value")


def stand_in(config: Config, group: str) -> Config:
    """The data's or the optimizer's node with a value to measure with, as long as its own is still to be found."""
    node: Config = config[group]
    key, value = STAND_INS[group]
    return node | {key: value} if node.get(key) == "auto" else node


def device_of(limits: TrainerSettings) -> torch.device:
    """Where this process trains."""
    return _probe(limits.accelerator, 1).strategy.root_device


@functools.cache
def _probe(accelerator: str, devices: int | str | tuple[int, ...]) -> pl.Trainer:
    """A trainer that only has devices."""
    asked = list(devices) if isinstance(devices, tuple) else devices
    return pl.Trainer(accelerator=accelerator, devices=asked, logger=False, enable_checkpointing=False)


def _measured_speed(config: Config, limits: TrainerSettings, task: ImageTask, data: ImageData) -> Config:
    batch = example(data, device_of(limits))
    usual = torch.get_num_threads()
    threads = [usual] if limits.threads or usual == 1 or batch.image.device.type != "cpu" else [1, usual]
    loss = copy.deepcopy(task.loss).to(batch.image.device)
    bench = Bench(task.net, loss, build(stand_in(config, "optimizers")), batch.image, batch.target)
    best, table = choose(bench, limits.max_epochs * data.steps_per_epoch(), threads)
    log.info(spelt(best, table))
    return {"speed": best.mode, "threads": best.threads}


def make_trainer(
    config: Config, run: Run, task: ImageTask, data: ImageData, further: tuple[pl.Callback, ...] = ()
) -> pl.Trainer:
    """Lightning's trainer with this project's checkpoints, limits and loggers, and none of its per-step extras."""
    limits = settings(TrainerSettings, config["trainer"])
    nodes = [node for node in config["callback"].values() if isinstance(node, dict) and "_target_" in node]
    loggers = [node for node in config["logger"].values() if node]
    names = {"folder": str(run.folder), "run_name": run.folder.name, "experiment_name": run.folder.parent.name}
    callbacks = [build(node, folder=str(run.checkpoints)) for node in nodes] + list(further)
    callbacks += [
        FiniteLoss(limits.log_every_n_steps),
        Budget(limits.max_steps, duration(limits.max_time) if limits.max_time else None, limits.stopped_at),
    ]
    if limits.progress:
        callbacks.append(Progress(data.batch_size))
    return pl.Trainer(
        accelerator=limits.accelerator,
        devices=limits.devices,
        num_nodes=limits.num_nodes,
        strategy=limits.strategy,
        precision=Speed(limits.speed).precision,  # type: ignore[arg-type]
        max_epochs=limits.max_epochs,
        max_steps=limits.max_steps,
        accumulate_grad_batches=limits.accumulate_grad_batches,
        gradient_clip_val=limits.gradient_clip_val,
        check_val_every_n_epoch=limits.check_val_every_n_epoch,
        log_every_n_steps=limits.log_every_n_steps,
        deterministic=limits.deterministic,
        callbacks=callbacks,
        logger=[build(node, **names) for node in loggers],
        plugins=[WholeFiles()],
        default_root_dir=run.folder,
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
