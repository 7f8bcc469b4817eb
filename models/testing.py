"""How good a model is on labelled images: from the settings of `test.py` to figures, files and one table."""

import csv
import io
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from rich.table import Table

from models import latency
from models.candidate import Candidate, device_of, of_run
from models.comparison import Side, compare
from models.inference import predict
from models.label_errors import findings
from models.label_pages import present
from models.onnx_file import export_onnx, require_onnx
from models.outcome import predictions_csv, skipped_csv
from models.prediction_sections import Judged
from models.reporting import write_test_report
from models.run import Run
from models.runs import find
from models.scores import MISSING, TITLES, ClassScores, Evaluation, missing_note, rows, text
from models.settings import TrainerSettings
from models.tester_settings import TesterSettings
from models.timm_candidate import of_timm
from models.training import prepare_torch
from models.views import with_views
from utils.build import settings
from utils.files import write_whole
from utils.log import console

log = logging.getLogger(__name__)
Config = dict[str, Any]

MOST_CLASSES_IN_TABLE = 10


@dataclass(frozen=True)
class Tested:
    """judged: by the table's heading; the last one is what predictions and report are about."""

    candidate: Candidate
    judged: dict[str, Judged]
    seconds: float
    speed: latency.Speed | None = None
    verdict: list[str] = field(default_factory=list)  # of the comparison
    files: dict[str, Path] = field(default_factory=dict)
    engines: "Engines | None" = None

    @property
    def evaluations(self) -> dict[str, Evaluation]:
        return {heading: judged.evaluation for heading, judged in self.judged.items()}


class Engines(Protocol):
    """The engines that could serve the model, side by side (serving.engines.comparison)."""

    facts: dict[str, str]

    def table(self) -> Table: ...
    def write(self, folder: Path) -> dict[str, Path]: ...


CompareEngines = Callable[[Candidate, Run | None, Config, TesterSettings], Engines]


def test(
    run: Run | None, config: Config, chosen: TesterSettings, compare_engines: CompareEngines | None = None
) -> Tested:
    """Measures a run's model, or with run=None timm's, and writes what was found below its run folder.

    config: the run's own, with the command line's values. compare_engines: handed in where it is asked for. Raises
    ValueError for what does not fit together.
    """
    if chosen.export:
        require_onnx()
    prepare_torch(settings(TrainerSettings, config["trainer"], "trainer."))
    began = time.monotonic()
    candidate = of_timm(config, chosen) if run is None else of_run(run, config, chosen)
    if chosen.label_errors and candidate.task.name != "classification":
        raise ValueError(f"tester.label_errors judges one class an image, this model is of task={candidate.task.name}")
    judged = _judged(candidate, config, chosen)
    tested = Tested(candidate, judged, time.monotonic() - began)
    tested = replace(tested, speed=_speed(candidate, config, chosen), verdict=_verdict(tested, config, chosen))
    if compare_engines is not None:
        tested = replace(tested, engines=compare_engines(candidate, run, config, chosen))
    folder = results_folder(run, chosen, candidate)
    return tested if folder is None else replace(tested, files=_written(folder, tested, run, chosen))


def _judged(candidate: Candidate, config: Config, chosen: TesterSettings) -> dict[str, Judged]:
    """What the network says of the test images, and with several views of each where they are asked for."""
    data = candidate.data
    judged = {"test": _said(candidate, config)}
    side = min(data.preprocessing.height, data.preprocessing.width)
    net = candidate.net
    if views := with_views(net, chosen.tta, config["datamodule"].get("augment"), side):
        candidate.task.net = views
        judged[f"test, {views.name}"] = _said(candidate, config)
        candidate.task.net = net
    elif chosen.tta:
        log.warning(
            "tester.tta: training neither mirrored nor shifted, there is one view; give tester.tta=[flip,shift]"
        )
    return judged


def _said(candidate: Candidate, config: Config) -> Judged:
    found = predict(candidate.task, candidate.data, "test", device_of(config))
    evaluation = candidate.task.evaluation(found.logits, found.target, candidate.data.classes, candidate.temperature)
    return Judged("test", found, evaluation, candidate.temperature)


def _speed(candidate: Candidate, config: Config, chosen: TesterSettings) -> latency.Speed | None:
    if not chosen.measure_speed:
        return None
    data = candidate.data
    size = data.eval_batch_size or data.batch_size
    return latency.measured(candidate.net, data.preprocessing, size, device_of(config))


def _verdict(tested: Tested, config: Config, chosen: TesterSettings) -> list[str]:
    """The comparison with another run, which sees the same images its own way and with the same views."""
    if chosen.compare is None:
        return []
    run = find(chosen.compare, config.get("logs", "logs"))
    own = run.read()
    own["trainer"] |= {"accelerator": config["trainer"]["accelerator"]}
    other = of_run(run, own, replace(chosen, checkpoint="auto"))
    _refuse_unlike(tested.candidate, other, chosen.compare)
    first, second = (
        Side(one.name, list(judged.values())[-1].predictions, one.data.inventory)
        for one, judged in ((tested.candidate, tested.judged), (other, _judged(other, own, chosen)))
    )
    return compare(next(iter(tested.evaluations.values())).task, first, second)


def _refuse_unlike(first: Candidate, second: Candidate, name: str) -> None:
    """Raises ValueError where two models answer different questions; single classes may be named otherwise."""
    if first.task.name != second.task.name:
        raise ValueError(f"tester.compare={name} is of task={second.task.name}, {first.name} of {first.task.name}")
    if first.task.name != "classification" and first.data.classes != second.data.classes:
        raise ValueError(
            f"tester.compare={name} knows {list(second.data.classes)}, {first.name} {list(first.data.classes)}"
        )


def results_folder(run: Run | None, chosen: TesterSettings, candidate: Candidate) -> Path | None:
    """test/ in the run folder; a checkpoint or data of one's own get a folder of their own there."""
    if chosen.output is not None:
        return Path(chosen.output).expanduser()
    if run is None:
        return None
    own = [Path(chosen.checkpoint).stem] if chosen.checkpoint != "auto" else []
    if chosen.data is not None:
        own += [Path(chosen.data).resolve().stem, candidate.data.digest[:8]]
    return run.folder / "test" / "-".join(own)


def _written(folder: Path, tested: Tested, run: Run | None, chosen: TesterSettings) -> dict[str, Path]:
    """Writes all that was asked for; answers what lies where."""
    heading, judged = list(tested.judged.items())[-1]
    data, net = tested.candidate.data, tested.candidate.net
    files = {"table": folder / "table.csv", "answers": folder / "predictions.csv"}
    write_whole(files["table"], table_csv(tested))
    write_whole(files["answers"], predictions_csv(judged.predictions, data, judged.evaluation.task, judged.temperature))
    title = f"{tested.candidate.name} on {chosen.data or 'its test split'}"
    facts = _facts(tested) | _told_below(tested) | {"figures": heading}
    if data.skipped:
        files["skipped"] = folder / "skipped.csv"
        write_whole(files["skipped"], skipped_csv(data))
    files["report"] = write_test_report(folder / "report", title, facts, judged, data, net)
    if chosen.label_errors:
        found = findings(judged.predictions.logits, judged.predictions.target)
        files["labels"] = present(folder, data, judged.predictions.rows, found)
    if chosen.export:
        files["onnx"] = folder / "model.onnx"
        _export(tested.candidate, run, files["onnx"])
    return files | (tested.engines.write(folder) if tested.engines else {})


def _told_below(tested: Tested) -> dict[str, str]:
    """What the terminal shows beside the figures, for the page."""
    speed = dict(tested.speed.rows()) if tested.speed else {}
    return speed | ({"compared": "; ".join(tested.verdict)} if tested.verdict else {})


def _export(candidate: Candidate, run: Run | None, file: Path) -> None:
    manifest = run.manifest_file.read_text() if run is not None and run.finished else "{}"
    difference = export_onnx(candidate.net, candidate.data.preprocessing, manifest, file)
    if difference is not None:
        log.info("%s answers as PyTorch does, to %.1g", file.name, difference)


def table_csv(tested: Tested) -> str:
    """data, class (empty: all), figure, value, low, high, images; every figure of merit with its 95 % range."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(("data", "class", "figure", "value", "low", "high", "images"))
    for heading, evaluation in tested.evaluations.items():
        writer.writerows((heading, *line) for line in _figures(evaluation))
    if (speed := tested.speed) is not None:
        for name in ("p50_ms", "p95_ms", "p99_ms", "images_per_s"):
            writer.writerow((speed.where, "", name, getattr(speed, name), "", "", ""))
    return stream.getvalue()


def _figures(evaluation: Evaluation) -> Iterator[tuple[str, str, float, float, float, int]]:
    for score in evaluation.scores:
        yield "", score.name, score.value, score.interval.low, score.interval.high, evaluation.images
    for one in evaluation.classes:
        for name, found in one.scores.items():
            if found is not None:
                yield one.name, name, found.value, found.low, found.high, one.support


def tell(tested: Tested) -> None:
    """The table, the comparison and where everything lies."""
    out = console()
    out.print(_table(tested))
    if tested.engines:
        out.print(tested.engines.table())
    lines = [("compared", line) for line in tested.verdict] + list(_facts(tested).items())
    for name, fact in lines + [(name, str(file)) for name, file in tested.files.items()]:
        out.print(f"{name:9}{fact}", soft_wrap=True)


def _table(tested: Tested) -> Table:
    """Figures of all images, of each class where they are few, of the speed; a column for each way of looking."""
    table = Table()
    for heading in ("", *tested.judged):
        table.add_column(heading)
    evaluations = list(tested.evaluations.values())
    _add(table, [[(title, _words(value, ends)) for title, value, ends in rows(one)] for one in evaluations])
    table.add_section()
    for line in _class_lines(evaluations):
        table.add_row(*line)
    table.add_section()
    for title, value in tested.speed.rows() if tested.speed else []:
        table.add_row(title, value, *[""] * (len(evaluations) - 1))
    return table


def _add(table: Table, columns: list[list[tuple[str, str]]]) -> None:
    for lines in zip(*columns, strict=True):
        table.add_row(lines[0][0], *(value for _, value in lines))


def _class_lines(evaluations: list[Evaluation]) -> list[list[str]]:
    """A line for each figure of each class; nothing where these are many."""
    shown = [one for one in evaluations[0].classes if one.support]
    if not 1 < len(shown) <= MOST_CLASSES_IN_TABLE:
        return []
    lines = []
    for place, one in enumerate(evaluations[0].classes):
        for name in one.scores if one.support else ():
            values = [_of_class(evaluation.classes[place], name) for evaluation in evaluations]
            lines.append([f"{TITLES[name]}, {one.name}", *values])
    return lines


def _of_class(one: ClassScores, name: str) -> str:
    return _words(*text(name, one.scores[name]))


def _words(value: str, ends: str) -> str:
    return f"{value}  ({ends})" if ends and value != MISSING else value


def _facts(tested: Tested) -> dict[str, str]:
    candidate = tested.candidate
    first = next(iter(tested.evaluations.values()))
    facts: dict[str, Callable[[], str]] = {
        "model": lambda: candidate.name,
        "images": lambda: f"{first.images:,} of {candidate.data.inventory.root} in {tested.seconds:.1f} s",
        "speed": lambda: tested.speed.where if tested.speed else "",
        "classes": partial(missing_note, first),
        **{name: partial(str, fact) for name, fact in (tested.engines.facts if tested.engines else {}).items()},
        "more": lambda: "figures of each class: table.csv" if len(first.classes) > MOST_CLASSES_IN_TABLE else "",
    }
    return {name: said for name, make in facts.items() if (said := make())}
