"""The sections of the report that tell what was labelled and what it was worth."""

from collections.abc import Callable, Sequence

import numpy as np

from active.bench import Bench
from active.curves import Curve, curve_of, difference, saved
from active.loop import Arm
from models.report_charts import share_chart
from utils.charts import Axis, Chart, Series
from utils.report import Block, Charts, Column, Gallery, Picture, Section, Stat, Stats, Table, Text

COLORS = ("accent", "train", "val", "wrong", "soft", "ink", "right-1", "wrong-1")
REFERENCE = "random"


def curves(arms: Sequence[Arm]) -> list[Curve]:
    """One for each strategy, over its seeds; without judged rounds it has none."""
    names = dict.fromkeys(arm.name for arm in arms)
    found = []
    for name in names:
        seeds = [_points(arm) for arm in arms if arm.name == name]
        if all(seeds):
            found.append(curve_of(name, seeds))
    return found


def _points(arm: Arm) -> list[tuple[int, float]]:
    return [(facts["labels"], facts["accuracy"]) for facts in arm.rounds() if facts["accuracy"] is not None]


def sections(bench: Bench, arms: Sequence[Arm]) -> list[Section]:
    """Of all strategies the curves, of the first one the rounds and the images."""
    main, found = arms[0], curves(arms)
    return [
        *([savings(found)] if found else []),
        rounds(main),
        *([balance(bench, main)] if main.rounds() else []),
        picked(bench, main),
    ]


def savings(found: Sequence[Curve]) -> Section:
    """Labels against accuracy, and in words what was saved against random."""
    reference = next((curve for curve in found if curve.name == REFERENCE), None)
    main = found[0]
    blocks: list[Block] = []
    if reference is not None and reference is not main:
        told = saved(main, reference)
        stats = [
            Stat(f"Labels to {one.accuracy:.1%}", str(one.labels or "–"), f"random {one.reference}") for one in told
        ]
        blocks += [Stats(tuple(reversed(stats))), Text("; ".join(f"{main.name}: {one}" for one in told) + ".")]
    blocks += [Charts((learning_chart(found),)), areas(found, reference)]
    seeds = len(main.accuracy)
    note = f"Accuracy on images that never train, {'mean of ' + str(seeds) + ' seeds' if seeds > 1 else 'one seed'}"
    note += "; dotted: 95 % range of the mean." if seeds > 1 else ": active.seeds=10 tells chance from merit."
    return Section("Labels", tuple(blocks), note)


def learning_chart(found: Sequence[Curve]) -> Chart:
    series = []
    for number, curve in enumerate(found):
        color = COLORS[number % len(COLORS)]
        series.append(Series(curve.name, curve.labels, curve.mean, color, "marked"))
        if len(curve.accuracy) > 1:
            series += [
                Series(f"{curve.name}, {end}", curve.labels, line, color, dashed=True)
                for end, line in zip(("low", "high"), curve.ranges, strict=True)
            ]
    return Chart(
        "labels", "Accuracy by labels", tuple(series), Axis("labels", whole=True), Axis("accuracy", percent=True)
    )


def areas(found: Sequence[Curve], reference: Curve | None) -> Table:
    """A row a strategy: accuracy at the end, area under the log-curve, and its difference to random."""
    columns = (Column("Strategy"), Column("Labels", "count"), Column("Accuracy", "share"),
               Column("Area under the log-curve", "number"), Column("More than random"))  # fmt: skip
    rows = []
    for curve in found:
        more = None if reference is None or curve is reference else _more(curve, reference)
        rows.append((curve.name, float(curve.labels[-1]), float(curve.mean[-1]), float(curve.area.mean()), more))
    return Table(columns, tuple(rows))


def _more(curve: Curve, reference: Curve) -> str:
    apart = float(curve.area.mean() - reference.area.mean())
    found = difference(curve.area, reference.area)
    return f"{apart:+.4f}" + ("" if found is None else f" ({found.low:+.4f} to {found.high:+.4f})")


def rounds(arm: Arm) -> Section:
    """What each round asked and found."""
    columns = (Column("Round", "count"), Column("Labels", "count"), Column("Accuracy", "share"), Column("ECE", "share"),
               Column("Uncertainty", "share"), Column("Coverage", "share"), Column("Kappa", "number"),
               Column("Asked next because"))  # fmt: skip
    why = {query["number"]: query["why"] for query in arm.queries()}
    judged = {facts["number"]: facts for facts in arm.rounds()}
    rows = []
    for number in sorted(why | judged):
        facts = judged.get(number, {})
        accuracy = facts.get("accuracy")
        shown = None if accuracy is None else (accuracy, facts["low"], facts["high"])
        rows.append((number, facts.get("labels", 0), shown, facts.get("ece"), facts.get("uncertainty"),
                     facts.get("coverage"), facts.get("kappa"), why.get(number, "–")))  # fmt: skip
    last = arm.rounds()[-1] if arm.rounds() else {}
    note = f"It stopped: {arm.why()}."
    if last.get("shifted"):
        note += f" The pool's predictions differ from those of the validation images (p = {last['shift_p']:.2g})."
    return Section("Rounds", (Table(columns, tuple(rows)),), note)


def balance(bench: Bench, arm: Arm) -> Section:
    """Classes of what was labelled, beside those of the pool where they are known, or as the model estimates them."""
    last, classes = arm.rounds()[-1], bench.data.classes
    shown = {"labelled": (np.array(last["classes"]), "accent")}
    if arm.oracle.knows_all:
        shown["pool"] = (np.bincount(bench.codes(bench.rows), minlength=len(classes)), "train")
    elif last["shares"] is not None:
        shown["pool, estimated"] = (np.array(last["shares"]), "train")
    chart = share_chart("labelled_classes", "Classes of the labelled images", shown, classes)
    return Section("Balance", (Charts((chart,)),), f"{int(sum(last['classes'])):,} labels.")


def picked(bench: Bench, arm: Arm) -> Section:
    """Thumbnails of what each round asked for, with their labels."""
    labels, read = arm.labels(10**6), bench.data.reader(bench.data.inventory)
    queries = arm.queries()
    each = max(1, bench.settings.pictures // max(len(queries), 1))
    pictures = []
    for query in queries:
        for sha, score in list(zip(query["picks"], query["score"], strict=True))[:each]:
            row = int(bench.rows[bench.place[sha]])
            title = labels.get(sha, "skipped")
            hint = f"{bench.data.inventory.path[row]}, gain {score:.3g}"
            pictures.append(Picture(np.asarray(read(row)), title, f"round {query['number']}", hint))
    note = f"The first {each} of each round, in the order they were picked, with the labels they got."
    return Section("Picked", (Gallery(tuple(pictures)),) if pictures else (Text("Nothing was asked for."),), note)


def of(bench: Bench, arms: Sequence[Arm]) -> Callable[[object], Sequence[Section]]:
    """As `models.training.Parts` takes them."""
    return lambda run: sections(bench, arms)
