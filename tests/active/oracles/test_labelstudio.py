import base64
import json
from io import BytesIO
from xml.etree import ElementTree

import pytest
from PIL import Image

from active.oracles.labelstudio import LabelStudio, labelling_config
from active.oracles.oracle import Waiting
from tests.active.oracles.desks import answers, desk


@pytest.fixture
def asked(tmp_path):
    made, questions, journal = desk(tmp_path)
    with pytest.raises(Waiting, match="3 of 3 images are left"):
        LabelStudio(wait=False).answer(questions, made)
    return made, questions, journal, made.folder / "round-0000"


def annotated(task, label):
    choice = {"from_name": "label", "to_name": "image", "type": "choices", "value": {"choices": [label]}}
    return task | {"annotations": [{"was_cancelled": label is None, "result": [] if label is None else [choice]}]}


def test_a_task_has_its_picture_its_uncertainty_and_the_models_guess(asked):
    *_, folder = asked
    task = json.loads((folder / "tasks.json").read_text())[1]
    picture = Image.open(BytesIO(base64.b64decode(task["data"]["image"].partition(",")[2])))
    assert picture.getpixel((0, 0)) == 1
    assert task["data"]["uncertainty"] == 0.25 and task["predictions"][0]["score"] == 0.75
    assert task["predictions"][0]["result"][0]["value"] == {"choices": ["dog"]}


def test_reads_back_the_export_with_skipped_tasks(asked):
    made, questions, journal, folder = asked
    tasks = json.loads((folder / "tasks.json").read_text())
    (folder / "export.json").write_text(json.dumps([annotated(tasks[0], "cat"), annotated(tasks[1], None)]))
    with pytest.raises(Waiting, match="1 of 3"):
        LabelStudio(wait=False).answer(questions, made)
    (folder / "export.json").write_text(json.dumps([{"sha256": questions[2].sha256, "label": "dog", "image": ""}]))
    LabelStudio(wait=False).answer(questions, made)
    assert answers(journal) == {0: "cat", 1: None, 2: "dog"}


def test_a_foreign_label_or_file_is_told(asked):
    made, questions, _, folder = asked
    (folder / "export.json").write_text(json.dumps([{"sha256": questions[2].sha256, "label": "cow"}]))
    with pytest.raises(ValueError, match="labelled 'cow', the classes are cat, dog"):
        LabelStudio(wait=False).answer(questions, made)
    (folder / "export.json").write_text("path,label")
    with pytest.raises(ValueError, match="is no JSON"):
        LabelStudio(wait=False).answer(questions, made)


def test_the_page_has_a_key_for_each_of_the_first_nine_classes():
    page = ElementTree.fromstring(labelling_config(['a "b" & <c>', *map(str, range(10))]))
    choices = page.findall(".//Choice")
    assert choices[0].get("value") == 'a "b" & <c>'
    assert [choice.get("hotkey") for choice in choices] == [*map(str, range(1, 10)), None, None]


def test_pictures_can_stay_where_label_studio_sees_them(tmp_path):
    made, questions, _ = desk(tmp_path)
    task = LabelStudio(prefix="s3://bucket/", pre_annotate=False)._task(questions[0], made)
    assert task["data"]["image"] == "s3://bucket/0.png" and "predictions" not in task
