"""What looks after a store: an action that has none to work on makes none."""

import tarfile

import pytest

from serving.__main__ import action_of, done, opened, restored
from serving.database import NEWEST
from serving.settings import ServingSettings

RULE = {"_target_": "serving.promotion.Better"}


@pytest.fixture
def store(tmp_path):
    """The settings of one that is there, with a token in it."""
    chosen = ServingSettings(root=str(tmp_path / "store"))
    parts = opened(chosen, RULE)
    parts.tokens.create("one", "viewer")
    parts.database.close()
    return chosen


@pytest.mark.parametrize("words", [["backup", "good.tar"], ["check"], ["token", "viewer", "x"], ["prune"]])
def test_an_action_on_a_root_without_a_store_is_refused_and_leaves_nothing(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.tar").write_text("good")
    with pytest.raises(ValueError, match=r"x is no store: give the serving\.root=DIR"):
        done(words[0], words[1:], ServingSettings(root="x"), RULE)
    assert [file.name for file in tmp_path.iterdir()] == ["good.tar"]
    assert (tmp_path / "good.tar").read_text() == "good"


@pytest.mark.parametrize(
    ("name", "why"), [("no/store.tar", "the folder .*no is not there; make it"), ("", "is a folder; name a file in it")]
)
def test_a_backup_that_has_no_place_is_refused_before_anything_is_opened(name, why, store, tmp_path, monkeypatch):
    monkeypatch.setattr("serving.__main__.opened", None)
    with pytest.raises(ValueError, match=why):
        done("backup", [str(tmp_path / name)], store, RULE)


def test_restoring_from_a_file_that_is_not_there_is_refused_and_makes_no_store(tmp_path):
    with pytest.raises(ValueError, match=r"no\.tar is not there, or no file"):
        restored(tmp_path / "no.tar", ServingSettings(root=str(tmp_path / "new")), RULE)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("line", [["prun"], ["serving.root=x", "prune"], ["-m", "check"]])
def test_a_word_that_is_no_action_or_not_the_first_is_answered_with_those_that_there_are(line):
    with pytest.raises(SystemExit, match="an action comes first, and is one of backup, restore, "):
        action_of(line)


@pytest.mark.parametrize(
    ("line", "words"),
    [(["prune", "nonsense"], "prune takes no word"), (["check", ""], "check takes no word"),
     (["token", "viewer"], "token takes two words"), (["backup", "serving.root=x"], "backup takes one word"),
     (["backup", "a.tar", "b.tar"], "backup takes one word")],
)  # fmt: skip
def test_too_many_words_after_an_action_and_too_few_are_told(line, words):
    with pytest.raises(SystemExit, match=f"error: {words} after it, then KEY=VALUE"):
        action_of(line)


def test_flags_and_keys_are_no_actions():
    assert action_of(["--cfg", "job"]) == action_of(["serving.root=check"]) == action_of([]) == []


def test_a_root_whose_database_has_no_schema_is_no_store(store):
    (store.folder / "store.sqlite").write_bytes(b"")
    with pytest.raises(ValueError, match="is no store"):
        done("check", [], store, RULE)
    assert (store.folder / "store.sqlite").read_bytes() == b""


def test_a_store_is_saved_and_restored_elsewhere(store, tmp_path):
    elsewhere = ServingSettings(root=str(tmp_path / "elsewhere"))
    assert "2 rows and 0 files in" in done("backup", [str(tmp_path / "a.tar")], store, RULE)  # a token and its history
    assert "2 rows and 0 files from" in restored(tmp_path / "a.tar", elsewhere, RULE)
    assert "as it was written" in done("check", [], elsewhere, RULE)


@pytest.mark.parametrize("content", [b"no tar at all" * 100, b"", None])
def test_what_is_no_backup_is_refused_and_leaves_no_folder(content, store, tmp_path):
    file = tmp_path / "notatar.tar"
    if content is None:  # one that ends in the middle of its last file
        (store.folder / "blobs" / "aa").mkdir()
        (store.folder / "blobs" / "aa" / ("a" * 64)).write_bytes(b"x" * 100_000)
        done("backup", [str(file)], store, RULE)
        content = file.read_bytes()[:-60_000]
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"notatar\.tar is no backup"):
        restored(file, ServingSettings(root=str(tmp_path / "x")), RULE)
    assert not (tmp_path / "x").exists()


def test_a_store_that_is_not_empty_gets_neither_rows_nor_files_of_a_backup(store, tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        (tmp_path / "store.json").write_text(f'{{"schema": "{NEWEST}"}}')
        archive.add(tmp_path / "store.json", "store.json")
        archive.add(tmp_path / "store.json", f"blobs/{'a' * 64}")
    with pytest.raises(ValueError, match="not empty"):
        restored(tmp_path / "a.tar", store, RULE)
    assert list((store.folder / "blobs").iterdir()) == list((store.folder / "parts").iterdir()) == []
