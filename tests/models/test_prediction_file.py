import json

import fsspec
import pytest
from pyarrow import parquet

from datamodule.locations import Image
from models.prediction_file import PredictionFile

IMAGES = [Image(f"{number}.jpg", f"/{number}.jpg") for number in range(9)]
COLUMNS = {"predicted": str, "probability": float}


def rows(images):
    return [[image.name, "ant", "0.5", ""] for image in images]


@pytest.fixture
def table(tmp_path):
    def opened(output="answers.csv", configuration="one"):
        place = output if "://" in output else str(tmp_path / output)
        return PredictionFile(place, COLUMNS, configuration, str(tmp_path / "cache"))

    return opened


def interrupted(table, count=4, **options):
    """Answers some images, then stops as a crash would."""
    with table(**options) as file:
        left = file.rest(IMAGES)
        file.append([next(left) for _ in range(count)], rows(IMAGES[:count]), failed=1)


def finished(table, images=IMAGES, **options):
    with table(**options) as file:
        left = list(file.rest(images))
        file.append(left, rows(left), failed=0)
        file.finish()
    return file


def test_the_table_appears_whole_and_leaves_nothing_else(table, tmp_path):
    interrupted(table)
    assert not (tmp_path / "answers.csv").exists()
    finished(table)
    lines = (tmp_path / "answers.csv").read_text().splitlines()
    assert lines[0] == "path,predicted,probability,error" and lines[1:] == [",".join(row) for row in rows(IMAGES)]
    assert [file.name for file in tmp_path.iterdir()] == ["answers.csv"]


def test_an_unfinished_table_of_the_same_configuration_goes_on(table):
    interrupted(table)
    file = finished(table)
    assert (file.resumed, file.images, file.failed) == (4, 9, 1)


def test_rows_that_the_journal_does_not_vouch_for_are_written_anew(table, tmp_path):
    finished(table, output="undisturbed.csv")
    interrupted(table)
    with (tmp_path / "answers.csv.part").open("ab") as part:
        part.write(b"8.jpg,half a ro")
    finished(table)
    assert (tmp_path / "answers.csv").read_bytes() == (tmp_path / "undisturbed.csv").read_bytes()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda journal, part: journal.unlink(),
        lambda journal, part: journal.write_text("{"),
        lambda journal, part: journal.write_text(json.dumps({"images": 3})),
        lambda journal, part: part.write_bytes(b""),
    ],
    ids=["no journal", "broken journal", "foreign journal", "lost rows"],
)
def test_what_cannot_be_trusted_starts_anew(table, tmp_path, spoil):
    interrupted(table)
    spoil(tmp_path / "answers.csv.journal", tmp_path / "answers.csv.part")
    file = finished(table)
    assert (file.resumed, file.images) == (0, 9)
    assert len((tmp_path / "answers.csv").read_text().splitlines()) == 10


def test_other_settings_or_other_images_start_anew(table, tmp_path):
    interrupted(table)
    assert finished(table, configuration="two").resumed == 0
    interrupted(table)
    others = [Image("0a.jpg", "/0a.jpg"), *IMAGES]
    assert finished(table, images=others).resumed == 0
    assert len((tmp_path / "answers.csv").read_text().splitlines()) == 11


def test_a_table_for_a_url_is_gathered_here_and_goes_on_too(table, tmp_path):
    interrupted(table, output="memory://bucket/answers.csv")
    files = fsspec.filesystem("memory")
    assert not files.exists("/bucket/answers.csv")
    assert finished(table, output="memory://bucket/answers.csv").resumed == 4
    assert len(files.cat_file("/bucket/answers.csv").splitlines()) == 10
    assert not list((tmp_path / "cache" / "predictions").iterdir())
    files.rm("/bucket", recursive=True)


def test_parquet_has_typed_columns_and_nulls(table, tmp_path):
    with table(output="answers.parquet") as file:
        left = list(file.rest(IMAGES))
        file.append(left, [*rows(left[:-1]), ["8.jpg", "", "", 'is "empty",\nreally']], failed=1)
        file.finish()
    found = parquet.read_table(tmp_path / "answers.parquet").to_pylist()
    assert found[0] == {"path": "0.jpg", "predicted": "ant", "probability": 0.5, "error": None}
    assert found[8] == {"path": "8.jpg", "predicted": None, "probability": None, "error": 'is "empty",\nreally'}
    assert [file.name for file in tmp_path.iterdir()] == ["answers.parquet"]


def test_parquet_without_pyarrow_is_refused_with_what_to_install(table, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"answers.parquet needs pyarrow: pip install pyarrow"):
        table(output="answers.parquet")


def test_names_that_are_no_unicode_are_written_readably(table, tmp_path):
    finished(table, images=[Image("a\udce4.jpg", "/a\udce4.jpg")])
    assert r"a\udce4.jpg" in (tmp_path / "answers.csv").read_text()


def test_a_place_that_cannot_be_written_is_refused(table, tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "folder.csv").mkdir()
    for output in ("file/answers.csv", "folder.csv", "/proc/answers.csv"):
        with pytest.raises(ValueError, match=r"cannot be written \(.+\); name another place"):
            table(output=output)


def test_a_second_process_on_the_same_table_is_refused(table):
    with table() as file:
        file.rest(IMAGES)
        with pytest.raises(ValueError, match="is being written by another process"):
            table()
