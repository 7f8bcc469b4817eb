"""Labels by Label Studio: tasks with the model's guesses to import there, and its export to be read back."""

import base64
import io
import json
import logging
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from PIL import Image

from active.oracles.oracle import Desk, Oracle, Question, Waiting
from utils.files import write_whole

log = logging.getLogger(__name__)


class LabelStudio(Oracle):
    """Each round's RUN/labels/round-0001 holds tasks.json and config.xml for a project; its export goes there, too.

    prefix: what Label Studio calls the data's root, such as /data/local-files/?d=imgs/ or s3://bucket/; null: pictures
    are written into the tasks themselves. pre_annotate: add the model's guess. wait: look every `every_s` seconds.
    """

    def __init__(
        self, prefix: str | None = None, pre_annotate: bool = True, wait: bool = True, every_s: float = 2.0
    ) -> None:
        if every_s <= 0:
            raise ValueError(f"active.oracle.every_s={every_s}: give more than 0 seconds")
        self.prefix, self.pre_annotate, self.wait, self.every_s = prefix, pre_annotate, wait, every_s

    def answer(self, questions: Sequence[Question], desk: Desk) -> None:
        folder = desk.folder / f"round-{desk.round:04d}"
        if not (folder / "tasks.json").exists():
            write_whole(folder / "config.xml", labelling_config(desk.classes))
            tasks = [self._task(one, desk) for one in questions]
            write_whole(folder / "tasks.json", json.dumps(tasks, indent=1, allow_nan=False))
        told = (
            f"import {folder / 'tasks.json'} into Label Studio, label, and export as JSON to {folder / 'export.json'}"
        )
        log.info(told)
        while missing := take_over(folder / "export.json", questions, desk):
            if not self.wait:
                raise Waiting(f"{told}; {missing} of {len(questions)} images are left")
            time.sleep(self.every_s)

    def _task(self, question: Question, desk: Desk) -> dict[str, Any]:
        image = data_url(question, desk) if self.prefix is None else self.prefix + question.path
        shown = {"image": image, "sha256": question.sha256, "path": question.path, "gain": question.score}
        if question.guess is None:
            return {"data": shown}
        label, probability = question.guess
        task: dict[str, Any] = {"data": shown | {"uncertainty": 1 - probability}}
        if self.pre_annotate:
            choice = {"from_name": "label", "to_name": "image", "type": "choices", "value": {"choices": [label]}}
            task["predictions"] = [{"model_version": f"round {desk.round}", "score": probability, "result": [choice]}]
        return task


def labelling_config(classes: Sequence[str]) -> str:
    """Label Studio's page: the image, and one choice of the classes by keys 1 to 9."""
    choices = "\n".join(
        f"    <Choice value={quoteattr(name)}" + (f' hotkey="{number}"' if number < 10 else "") + "/>"
        for number, name in enumerate(classes, 1)
    )
    return (
        '<View>\n  <Image name="image" value="$image"/>\n  <Choices name="label" toName="image" choice="single">\n'
        f"{choices}\n  </Choices>\n</View>\n"
    )


def data_url(question: Question, desk: Desk) -> str:
    pixels, content = desk.image(question.row), io.BytesIO()
    Image.fromarray(pixels.squeeze(2) if pixels.shape[2] == 1 else pixels[..., :3]).save(content, "png")
    return "data:image/png;base64," + base64.b64encode(content.getvalue()).decode()


def take_over(file: Path, questions: Sequence[Question], desk: Desk) -> int:
    """Keeps every answer that the export holds; how many images have none yet."""
    done, asked = desk.done(), {one.sha256 for one in questions}
    for sha, label in exported(file, desk.classes):
        if sha in asked - done:
            desk.answer(sha, label, "labelstudio")
            done.add(sha)
    return len(asked - done)


def exported(file: Path, classes: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    """(sha256, label) of Label Studio's JSON or JSON-MIN export; a skipped (cancelled) task has None.

    Raises ValueError for a file that is neither and for labels that are no class.
    """
    if not file.exists():
        return
    try:
        tasks = json.loads(file.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"{file} is no JSON ({error}): export the project as JSON or JSON-MIN") from error
    for task in tasks if isinstance(tasks, list) else [tasks]:
        told = _told(task)
        if told is None:
            continue
        sha, label = told
        if label is not None and label not in classes:
            raise ValueError(f"{file}: an image is labelled {label!r}, the classes are {', '.join(classes)}")
        yield sha, label


def _told(task: dict[str, Any]) -> tuple[str, str | None] | None:
    sha = task.get("sha256") or task.get("data", {}).get("sha256")
    if sha is None:
        return None
    if "annotations" not in task:  # JSON-MIN
        label = task.get("label")
        return (sha, label) if isinstance(label, str) else None
    for annotation in reversed(task["annotations"]):
        if annotation.get("was_cancelled"):
            return sha, None
        for result in annotation.get("result", []):
            if choices := result.get("value", {}).get("choices"):
                return sha, choices[0]
    return None
