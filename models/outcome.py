"""What a finished training leaves: model file, predictions, the completed configuration, and the closing table."""

import csv
import io
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from rich.table import Table

from datamodule.data import ImageData
from models.callbacks import Budget, Concluding, the
from models.inference import Predictions, predict
from models.keeping import Kept, keep
from models.model_file import Manifest, save_model, weights_sha256
from models.prediction_sections import Judged
from models.prediction_table import fields, headings
from models.reporting import write_run_report
from models.run import Run
from models.runs import differences
from models.scores import Evaluation, Task, Temperature, rows
from models.task import ImageTask
from utils.configuration import digest
from utils.files import write_whole
from utils.log import console
from utils.report import Section
from utils.words import many

log = logging.getLogger(__name__)
Config = dict[str, Any]
Further = Callable[[Run], Sequence[Section]]  # what else the report of a run has


def no_more(run: Run) -> Sequence[Section]:
    """Nothing else."""
    return ()


@dataclass(frozen=True)
class Outcome:
    """A finished run and its key figures."""

    run: Run
    model: str
    parameters: int
    evaluations: dict[str, Evaluation]  # by split
    images: dict[str, int]
    seconds: float
    epochs: int
    steps: int
    best_epoch: int | None
    kept_epoch: int | None
    weights_sha256: str


def conclude(
    config: Config, run: Run, trainer: pl.Trainer, task: ImageTask, data: ImageData, further: Further | None = no_more
) -> Outcome:
    """Measures the kept weights and writes all that a finished run has; the manifest comes last and marks it so.

    further: what else the report has; None: no report.
    """
    data.trainer = None  # from here on one process sees all of each split
    kept, device = keep(run, trainer, task, data), trainer.strategy.root_device
    found = {"val": kept.val} if kept.val else {}
    for split in ("val", "test"):
        if split not in found and data.sizes.get(split):
            found[split] = predict(task, data, split, device)
    temperature = task.temperature(found["val"].logits, found["val"].target) if "val" in found else None
    evaluations = {
        split: task.evaluation(part.logits, part.target, data.classes, temperature) for split, part in found.items()
    }
    outcome = _outcome(run, trainer, task, data, evaluations, kept)
    if trainer.is_global_zero:
        for split, part in found.items():
            write_whole(run.folder / f"predictions_{split}.csv", predictions_csv(part, data, task.name, temperature))
        if data.skipped:
            write_whole(run.folder / "skipped.csv", skipped_csv(data))
        completed = _completed(config, trainer)
        _record(run, completed, outcome)
        for logger in trainer.loggers:
            logger.save()
        if found and further is not None:
            judged = [Judged(split, part, evaluations[split], temperature) for split, part in found.items()]
            write_run_report(run, completed, facts(outcome), judged[-1], data, task.net, further(run))
        save_model(run.folder, task.net, _manifest(completed, task, data, outcome, temperature))
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, Concluding):
                callback.concluded(outcome, task, data)
    return outcome


def _outcome(
    run: Run,
    trainer: pl.Trainer,
    task: ImageTask,
    data: ImageData,
    evaluations: dict[str, Evaluation],
    kept: Kept,
) -> Outcome:
    budget = the(Budget, trainer)
    return Outcome(
        run=run,
        model=type(getattr(task.net, "net", task.net)).__name__,  # within what fits it to task and images
        parameters=sum(parameter.numel() for parameter in task.net.parameters()),
        evaluations=evaluations,
        images=data.sizes,
        seconds=budget.seconds,
        epochs=trainer.current_epoch,
        steps=trainer.global_step,
        best_epoch=kept.best,
        kept_epoch=kept.epoch,
        weights_sha256=weights_sha256(task.net.state_dict()),
    )


def _completed(config: Config, trainer: pl.Trainer) -> Config:
    """The configuration with what the clock decided, the schedule and the end, so that a rerun repeats it."""
    schedule, completed = trainer.lr_scheduler_configs[0].scheduler, dict(config)
    if follows_clock := hasattr(schedule, "realised"):
        completed["schedulers"] = config["schedulers"] | {"realised": schedule.realised()}
    if follows_clock or config["trainer"]["max_time"]:
        completed["trainer"] = config["trainer"] | {"stopped_at": trainer.global_step}
    return completed


def _record(run: Run, config: Config, outcome: Outcome) -> None:
    record = run.read()["record"]
    record["weights"]["final"] = outcome.weights_sha256
    record |= {
        "seconds": round(outcome.seconds, 3),
        "epochs": outcome.epochs,
        "steps": outcome.steps,
        "best_epoch": outcome.best_epoch,
        "kept_epoch": outcome.kept_epoch,
    }
    run.write(config | {"record": record})


def _manifest(config: Config, task: ImageTask, data: ImageData, outcome: Outcome, temperature: Temperature) -> Manifest:
    shape = data.preprocessing
    known = {"num_classes": len(data.classes), "channels": shape.channels, "height": shape.height, "width": shape.width}
    metrics: dict[str, float | None] = {
        f"{split}/{score.name}": score.value
        for split, evaluation in outcome.evaluations.items()
        for score in evaluation.scores
    }
    return Manifest(
        task=task.name,
        architecture=task.architecture(config["models"] | known),
        classes=list(data.classes),
        preprocessing=asdict(shape),
        temperature=temperature,
        weights_sha256=outcome.weights_sha256,
        parameters=outcome.parameters,
        metrics=metrics,
        metrics_digest=data.digest,
        data_digest=data.digest,
        configuration_digest=digest(config),
        parent=outcome.run.read()["record"]["weights"]["parent"],
    )


def predictions_csv(part: Predictions, data: ImageData, task: Task, temperature: Temperature) -> str:
    """path, then what the task has to say of each image, probabilities as the temperature scales them."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", *headings(task, data.classes)])
    told = fields(task, part.logits, part.target, data.classes, temperature)
    writer.writerows([data.inventory.path[row], *own] for row, own in zip(part.rows, told, strict=True))
    return text.getvalue()


def skipped_csv(data: ImageData) -> str:
    """path, reason: the files that were left out."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([("path", "reason"), *data.skipped])
    return text.getvalue()


def facts(outcome: Outcome) -> dict[str, str]:
    """What was trained, on what, for how long, and where it lies."""
    return {
        "network": f"{outcome.model}, {outcome.parameters:,} parameters",
        "images": ", ".join(f"{count:,} {split}" for split, count in outcome.images.items() if count),
        "training": f"{_epochs(outcome)}; {many(outcome.steps, 'step')} in {outcome.seconds:.1f} s",
        "weights": f"sha256 {outcome.weights_sha256[:16]}",
        "model": _shown(outcome.run.model_file),
    }


def _epochs(outcome: Outcome) -> str:
    """How many, and whose weights are kept."""
    told, best = many(outcome.epochs, "epoch"), outcome.best_epoch
    if best is None:
        return told
    if outcome.kept_epoch == best:
        return f"{told}, the best is {best}"
    return f"{told}, the last is kept ({best} looked best)"


def _shown(path: Path) -> str:
    """Short where it lies below the working directory, else whole."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def tell(outcome: Outcome) -> None:
    """The closing table on the terminal."""
    table = Table()
    for heading in ("", *outcome.evaluations):
        table.add_column(heading)
    shown = {split: rows(evaluation) for split, evaluation in outcome.evaluations.items()}
    for lines in zip(*shown.values(), strict=True):
        table.add_row(lines[0][0], *(f"{value}  ({interval})" for _, value, interval in lines))
    out, page = console(), outcome.run.report / "index.html"
    report = _shown(page) if page.is_file() else _why_none(outcome)
    if outcome.evaluations:
        out.print(table)
    for name, fact in (facts(outcome) | {"report": report}).items():
        out.print(f"{name:9}{fact}", soft_wrap=True)


def _why_none(outcome: Outcome) -> str:
    if outcome.evaluations:
        return "none: trainer.report=false"
    return "none: without validation and test images there is nothing to judge by"


def compare(original: Config, outcome: Outcome) -> tuple[bool, str]:
    """Whether a rerun gave the same weights, and in words what differs where it did not."""
    before, now = original["record"], outcome.run.read()["record"]
    if before["weights"]["final"] == now["weights"]["final"]:
        return True, f"reproduced: the weights' sha256 is the same, {now['weights']['final'][:16]}"
    facts = differences(
        {key: before.get(key) for key in ("environment", "data", "weights", "steps")},
        {key: now.get(key) for key in ("environment", "data", "weights", "steps")},
    )
    values = differences(
        {k: v for k, v in original.items() if k != "record"},
        {k: v for k, v in outcome.run.read().items() if k != "record"},
    )
    reasons = [
        f"{key} was {was}, is {is_now}"
        for key, (was, is_now) in (facts | values).items()
        if key not in ("logs", "experiment_name", "run_name", "weights.final")
    ]
    told = "; ".join(reasons) or "nothing that is recorded differs"
    return (
        False,
        f"NOT reproduced: {before['weights']['final'][:16]} before, {now['weights']['final'][:16]} now. {told}",
    )
