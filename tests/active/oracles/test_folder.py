import csv
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from active.oracles.folder import Folder
from active.oracles.oracle import Waiting
from tests.active.oracles.desks import answers, desk


@pytest.fixture
def asked(tmp_path):
    made, questions, journal = desk(tmp_path)
    with pytest.raises(Waiting, match="3 are left"):
        Folder(wait=False).answer(questions, made)
    return made, questions, journal, made.folder / "round-0000"


def fill_in(folder, *labels):
    rows = list(csv.reader((folder / "labels.csv").read_text().splitlines()))
    lines = [rows[0], *([row[0], label] for row, label in zip(rows[1:], labels, strict=True))]
    (folder / "labels.csv").write_text("\n".join(",".join(line) for line in lines) + "\n")


def test_lays_out_the_pictures_a_csv_and_class_folders(asked):
    _, _, _, folder = asked
    pictures = sorted(folder.glob("*.png"))
    assert [np.asarray(Image.open(file))[0, 0] for file in pictures] == [0, 1, 2]
    assert (folder / "labels.csv").read_text().splitlines()[0] == "file,label"
    assert (folder / "cat").is_dir() and (folder / "_skip").is_dir()


def test_goes_on_when_the_csv_is_filled_in_and_keeps_what_is_there_before(asked):
    made, questions, journal, folder = asked
    fill_in(folder, "cat", "", "")
    with pytest.raises(Waiting, match="2 are left"):
        Folder(wait=False).answer(questions, made)
    fill_in(folder, "cat", "_skip", "dog")
    Folder(wait=False).answer(questions, made)
    assert answers(journal) == {0: "cat", 1: None, 2: "dog"}


def test_goes_on_when_the_pictures_are_sorted(asked):
    made, questions, journal, folder = asked
    for file, name in zip(sorted(folder.glob("*.png")), ("dog", "_skip", "dog"), strict=True):
        file.rename(folder / name / file.name)
    Folder(wait=False).answer(questions, made)
    assert answers(journal) == {0: "dog", 1: None, 2: "dog"}


def test_a_label_that_is_no_class_is_told_with_its_file(asked):
    made, questions, _, folder = asked
    fill_in(folder, "cow", "", "")
    with pytest.raises(ValueError, match="0000-00000000.png is labelled 'cow', the classes are cat, dog"):
        Folder(wait=False).answer(questions, made)


def test_the_files_own_bytes_are_shown_and_the_guess_only_where_wanted(tmp_path):
    made, questions, _ = desk(tmp_path)
    own = tmp_path / "own.JPG"
    own.write_bytes(b"not touched")
    with pytest.raises(Waiting):
        Folder(wait=False, show_guess=True).answer(questions[:1], replace(made, file=lambda row: own))
    folder = made.folder / "round-0000"
    assert next(folder.glob("*.jpg")).read_bytes() == b"not touched"
    assert (folder / "labels.csv").read_text().splitlines() == [
        "file,label,guess,probability", "0000-00000000.jpg,,dog,0.750",
    ]  # fmt: skip
