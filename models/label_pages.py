"""What a search for label errors leaves: label_errors.csv, quality.csv, and a page of thumbnails to look through."""

import csv
import io
import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from datamodule.data import ImageData
from datamodule.decode import Pixels
from datamodule.inventory import Inventory, Rows
from datamodule.quality import Issue, examine, quality_csv, summary
from models.label_errors import Findings
from utils.files import write_whole
from utils.report import Block, Gallery, Picture, Section, Text, write_report

log = logging.getLogger(__name__)

Read = Callable[[int], Pixels]
CSV, QUALITY_CSV, PAGE = "label_errors.csv", "quality.csv", "label_errors"
HINT = (
    "Given → suggested label, the likeliest error first. The suggestion is about as often right as the network itself: "
    "look before you change a label; nothing was changed."
)


def present(
    folder: Path, data: ImageData, rows: Rows, found: Findings, thumbnails: int = 100, quality: bool = True
) -> Path:
    """Writes label_errors.csv, quality.csv and label_errors/index.html into a run folder; returns the page's path.

    rows: of the data's inventory, (samples,), that `found` judges. quality: also look at all images of the inventory.
    """
    inventory, read = data.inventory, data.reader(data.inventory)
    write_whole(folder / CSV, label_errors_csv(inventory, rows, found))
    sections = [label_section(inventory, read, rows, found, thumbnails)]
    log.info("label errors: %s; %s", verdict(found), folder / CSV)
    if quality:
        issues = examine(inventory, read, data.skipped)
        write_whole(folder / QUALITY_CSV, quality_csv(issues))
        sections += quality_sections(inventory, read, issues, thumbnails)
        log.info("images: %s: %s", summary(issues), folder / QUALITY_CSV)
    page = write_report(folder / PAGE, "Label errors", sections, f"{folder.name}: what a person should look at")
    log.info("look through %s", page)
    return page


def label_errors_csv(inventory: Inventory, rows: Rows, found: Findings) -> str:
    """file, given, suggested, score, rank, flagged; the likeliest error first."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("file", "given", "suggested", "score", "rank", "flagged"))
    names, path = inventory.classes, inventory.path[rows]
    columns = (found.given, found.suggested, found.score, found.rank, found.flagged)
    for place, given, suggested, score, rank, flagged in zip(
        found.order.tolist(), *(column[found.order].tolist() for column in columns), strict=True
    ):
        writer.writerow((path[place], names[given], names[suggested], f"{score:.6g}", rank, str(flagged).lower()))
    return text.getvalue()


def label_section(inventory: Inventory, read: Read, rows: Rows, found: Findings, thumbnails: int) -> Section:
    """The likeliest errors, as many as `thumbnails`, whether or not they are likely enough to be flagged."""
    names = inventory.classes
    shown = [place for place in found.order.tolist() if found.suggested[place] != found.given[place]][:thumbnails]
    pictures = tuple(
        Picture(
            read(int(rows[place])),
            f"{names[found.given[place]]} → {names[found.suggested[place]]}",
            f"{found.rank[place]} · {inventory.path[rows[place]]}",
        )
        for place in shown
    )
    said = f"{verdict(found)}; {CSV} lists all. These are the {len(shown):,} likeliest errors."
    return Section("Labels", (Text(said), Gallery(pictures)), HINT)


def verdict(found: Findings) -> str:
    """Such as "512 of 20,000 labels look wrong (2.6 %)"."""
    flagged, all_ = int(found.flagged.sum()), len(found.flagged)
    return f"{flagged:,} of {all_:,} labels look wrong ({100 * flagged / max(all_, 1):.1f} %)"


def quality_sections(inventory: Inventory, read: Read, issues: Sequence[Issue], thumbnails: int) -> list[Section]:
    """A gallery for images that two splits share, and one for each other kind of issue."""
    row_of = {str(path): row for row, path in enumerate(inventory.path)}
    groups: dict[str, list[Issue]] = {}
    for issue in _each_pair_once(issues):
        groups.setdefault(f"{issue.kind} across splits" if issue.across else issue.kind, []).append(issue)
    sections = [
        Section(title.capitalize(), _shown(group[:thumbnails], read, row_of), _counted(group, thumbnails))
        for title, group in groups.items()
    ]
    return sections or [Section("Images", (Text("No duplicate, blank, dark, odd-sized or outlying image."),))]


def _each_pair_once(issues: Iterable[Issue]) -> list[Issue]:
    """Of two images that name each other, the one in the training split is left to the other."""
    seen: set[frozenset[str]] = set()
    kept = []
    for issue in sorted(issues, key=lambda issue: issue.split == "train"):
        pair = frozenset((issue.file, issue.other)) if issue.other else frozenset((issue.file, issue.kind))
        if pair not in seen:
            seen.add(pair)
            kept.append(issue)
    places = {id(issue): place for place, issue in enumerate(issues)}
    return sorted(kept, key=lambda issue: places[id(issue)])


def _shown(group: Sequence[Issue], read: Read, row_of: dict[str, int]) -> tuple[Block, ...]:
    """Thumbnails; a line of text for each image that is not there to be shown."""
    pictures = tuple(_picture(issue, read, row_of) for issue in group if _is_there(issue, row_of))
    lines = tuple(Text(f"{issue.file}: {issue.note}") for issue in group if not _is_there(issue, row_of))
    return (*((Gallery(pictures),) if pictures else ()), *lines)


def _is_there(issue: Issue, row_of: dict[str, int]) -> bool:
    return issue.file in row_of and issue.kind != "unreadable"


def _picture(issue: Issue, read: Read, row_of: dict[str, int]) -> Picture:
    beside = read(row_of[issue.other]) if issue.other else None
    title = f"{issue.split} · {issue.other_split}" if issue.other else issue.label
    files = f"{issue.file} · {issue.other}" if issue.other else issue.file
    return Picture(
        read(row_of[issue.file]), title, f"{files} · {issue.note}", hint=f"{files}: {issue.note}", beside=beside
    )


def _counted(group: Sequence[Issue], thumbnails: int) -> str:
    shown = f", the first {thumbnails:,} are shown" if len(group) > thumbnails else ""
    return f"{len(group):,} found{shown}; {QUALITY_CSV} lists all."
