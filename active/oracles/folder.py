"""Labels by hand without a program: a folder of pictures with a CSV to fill in, or class folders to sort them into."""

import csv
import io
import logging
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image

from active.oracles.oracle import Desk, Oracle, Question, Waiting
from utils.files import write_whole

log = logging.getLogger(__name__)

SKIP = "_skip"  # a folder, and a word in the CSV, for images that shall get no label
COLUMNS = ("file", "label")


class Folder(Oracle):
    """Each round's images lie in RUN/labels/round-0001: fill in its labels.csv, or move images into the class folders.

    wait: look every `every_s` seconds until all are labelled; else the command ends and, given again, goes on.
    show_guess: add the model's guess to the CSV; it sways whoever labels.
    """

    def __init__(self, wait: bool = True, every_s: float = 2.0, show_guess: bool = False) -> None:
        if every_s <= 0:
            raise ValueError(f"active.oracle.every_s={every_s}: give more than 0 seconds")
        self.wait, self.every_s, self.show_guess = wait, every_s, show_guess

    def answer(self, questions: Sequence[Question], desk: Desk) -> None:
        folder = desk.folder / f"round-{desk.round:04d}"
        names = {f"{place:04d}-{one.sha256[:8]}": one for place, one in enumerate(questions)}
        if not (folder / "labels.csv").exists():
            self._lay_out(folder, names, desk)
        told = f"label the {len(questions)} images in {folder}: fill in labels.csv, or sort them into the class folders"
        log.info("%s (%s: no label)", told, SKIP)
        while missing := take_over(folder, names, desk):
            if not self.wait:
                raise Waiting(f"{told}; {missing} are left")
            time.sleep(self.every_s)

    def _lay_out(self, folder: Path, names: dict[str, Question], desk: Desk) -> None:
        """Pictures first, the CSV last: a folder with it is whole."""
        for name in (*desk.classes, SKIP):
            (folder / name).mkdir(parents=True, exist_ok=True)
        files = {name: copied(folder, name, one, desk) for name, one in names.items()}
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([*COLUMNS, *(["guess", "probability"] if self.show_guess else [])])
        for name, one in names.items():
            guess = [one.guess[0], f"{one.guess[1]:.3f}"] if self.show_guess and one.guess else []
            writer.writerow([files[name], "", *guess])
        write_whole(folder / "labels.csv", text.getvalue())


def copied(folder: Path, name: str, question: Question, desk: Desk) -> str:
    """The image's file under this name, or its pixels as a PNG; answers the file's name."""
    source = desk.file(question.row)
    file = folder / f"{name}{source.suffix.lower() if source else '.png'}"
    if source:
        shutil.copyfile(source, file)
    else:
        pixels = desk.image(question.row)
        Image.fromarray(pixels.squeeze(2) if pixels.shape[2] == 1 else pixels[..., :3]).save(file)
    return file.name


def take_over(folder: Path, names: dict[str, Question], desk: Desk) -> int:
    """Keeps every answer that is there; how many images have none yet."""
    done = desk.done()
    for stem, label in found(folder, desk.classes):
        question = names.get(stem)
        if question is not None and question.sha256 not in done:
            desk.answer(question.sha256, label, "folder")
            done.add(question.sha256)
    return sum(one.sha256 not in done for one in names.values())


def found(folder: Path, classes: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    """(file name without its ending, label) of what the CSV or a class folder says.

    Raises ValueError for a label that is no class.
    """
    for name in (*classes, SKIP):
        for file in sorted((folder / name).glob("*")):
            yield file.stem, None if name == SKIP else name
    with (folder / "labels.csv").open(newline="", encoding="utf-8-sig") as lines:
        for row in csv.DictReader(lines):
            label = (row.get("label") or "").strip()
            if label and label != SKIP and label not in classes:
                told = f"{row['file']} is labelled {label!r}, the classes are {', '.join(classes)}"
                raise ValueError(f"{folder / 'labels.csv'}: {told}")
            if label and row.get("file"):
                yield Path(row["file"]).stem, None if label == SKIP else label
